/** How long the program itself takes to start and say its version. */
import { CorvoError } from "../../base/errors.ts";
import { isCompiled, selfCommand } from "../_shared/self-command.ts";
import { quantilesOf } from "./samples.ts";
import type { Scenario } from "./scenario.ts";

export const startup: Scenario = {
  summary: "Start of the program itself: `corvo --version`",
  settings: { samples: 30 },
  tour: { samples: 10 },
  needsNoServer: true,
  async run(bench) {
    const times: number[] = [];
    const samples = bench.setting("samples");
    for (let i = -2; i < samples; i++) {
      const startMs = bench.nowMs();
      const child = Bun.spawn([...selfCommand, "--version"], {
        stdout: "ignore",
        stderr: "ignore",
      });
      const code = await child.exited;
      if (code !== 0) throw new CorvoError("INTERNAL_ERROR", `--version ended with code ${code}`);
      if (i >= 0) times.push(bench.nowMs() - startMs);
    }
    if (!isCompiled) bench.note("run from source; the bar is for the compiled program");
    const { p50, p99 } = quantilesOf(times);
    const ms = { unit: "ms", better: "lower" } as const;
    return [
      { name: "start p50", ...ms, value: p50, ...(isCompiled ? bench.goal(50, 20) : {}) },
      { name: "start p99", ...ms, value: p99 },
    ];
  },
};
