/** A server from its start to its end: what it prints, and how signals and faults end it. */
import { exitCodes } from "../../base/errors.ts";
import type { Logger } from "../../base/ports.ts";
import { DataDirError } from "../../store/data-dir.ts";
import { LogDamaged } from "../../store/log-format.ts";
import type { Context } from "../_shared/context.ts";
import { describeStart, type RunningServer, type ServerOptions, startServer } from "./start.ts";

interface Run {
  readonly log: Logger;
  readonly context: Context;
  readonly graceMs: number;
}

export async function runServer(options: ServerOptions, run: Run): Promise<number> {
  const { log, context } = run;
  context.takeSignals();
  const stopping = nextSignal();
  let server: RunningServer;
  try {
    server = await startServer(options, log);
  } catch (error) {
    return refuseStart(error, options, log);
  }
  announce(server, options, context);

  const ended = await Promise.race([stopping, server.failed]);
  if (ended !== undefined) {
    // The log can no longer be trusted: nothing may be acknowledged after this, so nothing is finished either.
    log.error(`stopped: ${ended}`);
    return exitCodes.bug;
  }
  log.info("stopping: finishing what runs; a second signal stops at once");
  const forced = nextSignal().then(() => "forced" as const);
  const result = await Promise.race([server.stop(run.graceMs), forced]);
  if (result === "forced") {
    log.warn("stopped at once; the log has everything that was acknowledged");
    return exitCodes.interrupted;
  }
  log.info("stopped");
  return exitCodes.ok;
}

/** The first line on stdout is for programs that started the server: its address. */
function announce(server: RunningServer, options: ServerOptions, context: Context): void {
  const { output } = context;
  if (output.json) {
    output.line(
      JSON.stringify({ url: server.url, data_dir: options.dataDir, node_id: server.storeId }),
    );
    return;
  }
  output.line(`corvo server listens on ${server.url}`);
  output.line(`  data     ${options.dataDir} (node ${server.storeId})`);
  output.line(`  found    ${describeStart(server)}`);
  output.line(`  enqueue  corvo enqueue hello '{"to":"world"}' --server ${server.url}`);
  output.line(`  work     corvo worker hello --server ${server.url}`);
}

function nextSignal(): Promise<undefined> {
  return new Promise((resolve) => {
    const end = () => {
      process.off("SIGINT", end);
      process.off("SIGTERM", end);
      resolve(undefined);
    };
    process.on("SIGINT", end);
    process.on("SIGTERM", end);
  });
}

/** A start that cannot be is the operator's to mend: a sentence, not a stack. */
function refuseStart(error: unknown, options: ServerOptions, log: Logger): number {
  if (error instanceof DataDirError || error instanceof LogDamaged) {
    log.error(error.message);
    return error instanceof DataDirError ? exitCodes.conflict : exitCodes.failed;
  }
  const code = (error as { code?: string }).code;
  if (code === "EADDRINUSE") {
    log.error(
      `${options.host}:${options.port} is in use; stop what listens there, or choose another with --bind`,
    );
    return exitCodes.conflict;
  }
  log.error(
    `the server could not start: ${error instanceof Error ? error.message : String(error)}`,
  );
  return exitCodes.failed;
}
