/**
 * Runs a transcript and scores it three ways.
 *
 * - strict: every output is equal, to the letter.
 * - protocol: equal but for log lines. Two implementations with the same messages, work and state
 *   agree here, whatever they say about it.
 * - state: the directives that print state (`raft-state`, `raft-log`, `status`) are equal.
 */
import { AssertionError } from "../../../src/base/assert.ts";
import { ConfChangeEnvironment, confChangeCommands } from "./conf-change-directives.ts";
import { InteractionEnvironment, isInteraction } from "./interaction-directives.ts";
import { type Directive, parseTranscript, renderTranscript } from "./parse.ts";
import { quorumCommands, runQuorumDirective } from "./quorum-directives.ts";

export interface Tally {
  passed: number;
  total: number;
}

export const levels = ["strict", "protocol", "state"] as const;

export type Level = (typeof levels)[number];

export interface Score {
  readonly tallies: Readonly<Record<Level, Tally>>;
  /** Directives that the runner does not know; they are in no tally. */
  readonly unsupported: number;
  /** The first directive whose output differs, with both outputs. */
  readonly difference: string | undefined;
  /** The first one that differs in more than log lines. */
  readonly protocolDifference: string | undefined;
  /** The file with the outputs of this run. */
  readonly rewritten: string;
}

const stateCommands: ReadonlySet<string> = new Set(["raft-state", "raft-log", "status"]);

export function scoreTranscript(text: string): Score {
  const transcript = parseTranscript(text);
  const run = createRunner();
  const tallies = { strict: emptyTally(), protocol: emptyTally(), state: emptyTally() };
  const outputs: string[] = [];
  let unsupported = 0;
  let difference: string | undefined;
  let protocolDifference: string | undefined;
  for (const directive of transcript.directives) {
    const output = run(directive);
    outputs.push(output ?? directive.expected);
    if (output === undefined) {
      unsupported += 1;
      continue;
    }
    const isEqual = output === directive.expected;
    const isSameProtocol = withoutLog(output) === withoutLog(directive.expected);
    count(tallies.strict, isEqual);
    count(tallies.protocol, isSameProtocol);
    if (stateCommands.has(directive.command)) count(tallies.state, isEqual);
    if (!isEqual) difference ??= describeDifference(directive, output);
    if (!isSameProtocol) protocolDifference ??= describeDifference(directive, output);
  }
  const rewritten = renderTranscript(transcript, outputs);
  return { tallies, unsupported, difference, protocolDifference, rewritten };
}

function emptyTally(): Tally {
  return { passed: 0, total: 0 };
}

function count(tally: Tally, isPassed: boolean): void {
  tally.total += 1;
  if (isPassed) tally.passed += 1;
}

/** Returns undefined for a directive that it does not know. */
function createRunner(): (directive: Directive) => string | undefined {
  const interaction = new InteractionEnvironment();
  const confChange = new ConfChangeEnvironment();
  return (directive) => {
    const { command } = directive;
    try {
      if (quorumCommands.has(command)) return trimEnd(runQuorumDirective(directive));
      if (confChangeCommands.has(command)) return trimEnd(confChange.run(directive));
      if (!isInteraction(directive)) return undefined;
      return trimEnd(interaction.run(directive));
    } catch (error) {
      if (!(error instanceof AssertionError)) throw error;
      return `${interaction.output.take()}FATAL ${error.message}`;
    }
  };
}

function trimEnd(text: string): string {
  return text.replace(/\n$/, "");
}

function withoutLog(output: string): string {
  const lines = output
    .split("\n")
    .filter((line) => !/^\s*(DEBUG|INFO|WARN|ERROR|FATAL) /.test(line));
  return lines.length === 0 ? "ok" : lines.join("\n");
}

function describeDifference(directive: Directive, output: string): string {
  const expected = directive.expected.split("\n");
  const actual = output.split("\n");
  const at = expected.findIndex((line, position) => line !== actual[position]);
  const first = at < 0 ? expected.length : at;
  const excerpt = (lines: readonly string[]) => lines.slice(Math.max(0, first - 2), first + 4);
  return [
    `line ${directive.line}: ${directive.command}, output line ${first + 1}`,
    ...excerpt(expected).map((line) => `  expected | ${line}`),
    ...excerpt(actual).map((line) => `  actual   | ${line}`),
  ].join("\n");
}
