/** Ties one line to this process: signals in, exit code out. */
import { runLine, type Signals } from "./run.ts";
import { createSystem, endQuietlyOnClosedPipe, flushStreams } from "./system.ts";

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
  endQuietlyOnClosedPipe();
  const code = await runLine(createSystem(), argv, signals);
  await flushStreams();
  process.exit(code);
}
