/** What a run of `catch-up` shows to people. */
import type { Story } from "./catch-up.ts";
import { measured } from "./steady-load.ts";

const number = new Intl.NumberFormat("en-US");
const ms = (value: number) => (value < 10 ? value.toFixed(1) : number.format(Math.round(value)));

export function storyLines(stories: readonly Story[]): string[] {
  return stories.flatMap((story) => [...linesOf(story), ""]);
}

function linesOf({ name, steps, snapshots, phases, problems }: Story): string[] {
  return [
    name,
    ...steps.map(({ what, seconds }) => `  ${seconds.toFixed(1).padStart(7)} s  ${what}`),
    ...snapshots.map(
      ({ madeBy, index, bytes }) =>
        `  snapshot by ${madeBy} at entry ${index}: ${number.format(bytes)} bytes`,
    ),
    ...(phases.length === 0
      ? []
      : [`  ms, p50/p99/max ${measured.map((kind) => kind.padStart(18)).join("")}`]),
    ...phases.flatMap((phase) => [
      `  ${`${phase.name}, ${phase.seconds.toFixed(0)} s`.padEnd(16)}${measured
        .map((kind) => {
          const { p50, p99, max } = phase.latencies[kind];
          return [p50, p99, max].map(ms).join("/").padStart(18);
        })
        .join("")}`,
      `    slowest at ${phase.slowest
        .map((one) => `${one.atSeconds.toFixed(1)} s (${ms(one.ms)} ms)`)
        .join(", ")}`,
    ]),
    problems.length === 0 ? "  nothing lost, all nodes show the same" : "  BROKEN",
    ...problems.map((problem) => `    ${problem}`),
  ];
}
