/** A server from its start to its end: what it prints, and how signals and faults end it. */
import { CorvoError, errorTable, exitCodes } from "../../base/errors.ts";
import type { Logger } from "../../base/ports.ts";
import { EntryTooNew } from "../../engine/feature-levels.ts";
import { DataDirError } from "../../store/data-dir.ts";
import { LogDamaged } from "../../store/log-format.ts";
import type { Context } from "../_shared/context.ts";
import { outliveLostOutput } from "../_shared/system.ts";
import { hostAndPort, isLoopback, leadsHere, partsOf, reachableHost } from "./addresses.ts";
import type { EmbeddedWorkers } from "./embedded-workers.ts";
import { describeStart, type RunningServer, type ServerOptions, startServer } from "./start.ts";

interface Run {
  readonly log: Logger;
  readonly context: Context;
  readonly graceMs: number;
  readonly workers: EmbeddedWorkers | undefined;
}

/** A node that takes on a newer state serves nobody that cannot go to another node. */
const restartGraceMs = 500;

export async function runServer(options: ServerOptions, run: Run): Promise<number> {
  run.context.takeSignals();
  // Jobs matter more than who reads the log: its file may be on the very disk that is full.
  outliveLostOutput();
  endOnBugs(run.log);
  const stopping = nextSignal();
  for (let isFirst = true; ; isFirst = false) {
    let server: RunningServer;
    try {
      const started = await Promise.race([startServer(options, run.log), stopping]);
      // What was not finished is no more than a crash would leave.
      if (started === undefined) return stoppedEarly(run.log);
      server = started;
    } catch (error) {
      return refuseStart(error, options, run.log);
    }
    if (isFirst) {
      announce(server, options, run.context);
      run.workers?.start(server.url);
    }
    const code = await serve(server, stopping, run);
    if (code !== undefined) return code;
  }
}

function stoppedEarly(log: Logger): number {
  log.info("stopped before the server was ready");
  return exitCodes.interrupted;
}

/** Until the server ends; undefined when it has to start again. */
async function serve(
  server: RunningServer,
  stopping: Promise<undefined>,
  { log, graceMs, workers }: Run,
): Promise<number | undefined> {
  const ended = await Promise.race([stopping, server.ended]);
  if (ended?.kind === "failed") {
    // The log can no longer be trusted: nothing may be acknowledged after this, so nothing is finished either.
    workers?.kill();
    log.error(`stopped: ${ended.reason}`);
    return exitCodes.bug;
  }
  if (ended?.kind === "restart") {
    log.info(`starting again: ${ended.reason}`);
    await server.stop(restartGraceMs);
    return undefined;
  }
  if (ended?.kind === "removed") {
    log.warn(ended.reason, {
      hint: "Its data directory can be deleted. Start it with an empty one and --join to add it as a new node.",
    });
  }
  log.info("stopping: finishing what runs; a second signal stops at once");
  const forced = nextSignal().then(() => "forced" as const);
  // Workers report what they finish, so the server ends after them.
  const stopped = Promise.resolve(workers?.stop()).then(() => server.stop(graceMs));
  const result = await Promise.race([stopped, forced]);
  if (result === "forced") {
    workers?.kill();
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
      JSON.stringify({
        url: server.url,
        peer_address: server.peerAddress,
        data_dir: options.dataDir,
        node_id: server.storeId,
      }),
    );
    return;
  }
  output.line(`corvo server listens on ${server.url}`);
  output.line(`  data     ${options.dataDir} (node ${server.storeId})`);
  output.line(`  found    ${describeStart(server)}`);
  output.line(`  enqueue  corvo enqueue hello '{"to":"world"}' --server ${server.url}`);
  output.line(`  work     corvo worker hello --server ${server.url}`);
  if (!server.isAlone || options.cluster?.expect !== undefined) {
    output.line(`  cluster  ${server.clusterId}, node ${server.nodeId}; corvo cluster status`);
    return;
  }
  output.line(`  cluster  ${server.clusterId}, of this node alone`);
  for (const line of joinLines(server, options)) output.line(`  join     ${line}`);
}

/** What to type to make this a cluster of three: on this machine other ports and folders are needed, elsewhere not. */
function joinLines(server: RunningServer, options: ServerOptions): string[] {
  const { host, port } = new URL(server.url);
  if (!isLoopback(options.host)) {
    if (leadsHere(server.peerAddress)) {
      return ["for other machines start this one with --peer-bind :9000 and CORVO_CLUSTER_SECRET"];
    }
    const here =
      options.cluster?.advertiseUrl ?? hostAndPort(reachableHost(options.host), Number(port));
    return [
      `corvo server --join ${here} --bind :${port} --peer-bind :${partsOf(server.peerAddress).port}  # with the same CORVO_CLUSTER_SECRET`,
    ];
  }
  return [1, 2].map(
    (offset) =>
      `corvo server --join ${host} --bind 127.0.0.1:${Number(port) + offset} --peer-bind 127.0.0.1:${9000 + offset} --data-dir ${options.dataDir}-${offset + 1}`,
  );
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

/** A broken guarantee anywhere ends the process at once: the log recovers it, going on would spread it. */
function endOnBugs(log: Logger): void {
  const end = (error: unknown) => {
    if (error instanceof EntryTooNew) {
      log.error(`stopped: ${error.message}`);
      process.exit(exitCodes.failed);
    }
    log.error("stopped: a guarantee of the program was broken", {
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    process.exit(exitCodes.bug);
  };
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}

/** A start that cannot be is the operator's to mend: a sentence, not a stack. */
function refuseStart(error: unknown, options: ServerOptions, log: Logger): number {
  if (error instanceof DataDirError || error instanceof LogDamaged) {
    log.error(error.message);
    return error instanceof DataDirError ? exitCodes.conflict : exitCodes.failed;
  }
  if (error instanceof CorvoError) {
    log.error(`the server could not start: ${error.message}`, { hint: error.hint });
    return errorTable[error.code].exit;
  }
  const { code, syscall } = error as { code?: string; syscall?: string };
  const address = `${options.host}:${options.port}`;
  if (code === "EADDRINUSE") {
    log.error(`${address} is in use; stop what listens there, or choose another with --bind`);
    return exitCodes.conflict;
  }
  if (syscall === "listen") {
    log.error(
      `cannot listen on ${address}: ${error instanceof Error ? error.message : code}; is it an address of this machine? --bind sets it`,
    );
    return exitCodes.conflict;
  }
  log.error(
    `the server could not start: ${error instanceof Error ? error.message : String(error)}`,
  );
  return exitCodes.failed;
}
