/** Ties one line to this process: signals in, exit code out. */
import { exitCodes } from "../../base/errors.ts";
import { paceOf, startInPlace } from "./collection-pace.ts";
import { runLine, type Signals } from "./run.ts";
import { selfCommand } from "./self-command.ts";
import { createSystem, endOnLostOutput, flushStreams } from "./system.ts";

const signals: Signals = {
  listen(callback) {
    process.on("SIGINT", callback);
    process.on("SIGTERM", callback);
    return () => {
      process.off("SIGINT", callback);
      process.off("SIGTERM", callback);
    };
  },
};

export async function runProcess(argv: readonly string[]): Promise<never> {
  endOnLostOutput(exitCodes.failed);
  const system = createSystem();
  const env = paceOf(argv, system.env);
  if (env !== undefined) startInPlace([...selfCommand, ...argv], env);
  const code = await runLine(system, argv, signals);
  await flushStreams();
  process.exit(code);
}
