/** `corvo server`: the flags of a node. What they wire together is loaded only when it runs (`server/`). */
import { requestLimits } from "../api/limits.ts";
import { shardsMax } from "../base/placement.ts";
import type { Logger } from "../base/ports.ts";
import { type AllowRule, parseAllowRule } from "../net/outbound/address.ts";
import { command } from "./_shared/command.ts";
import type { Context } from "./_shared/context.ts";
import { UsageError } from "./_shared/exit.ts";
import { type JoinToken, readJoinToken } from "./_shared/join-token.ts";
import { createLogger, defaultLogFormat, logFormats, logLevels } from "./_shared/logger.ts";
import { defaultQueue, readQueue } from "./_shared/queue-args.ts";
import {
  BadValue,
  readAddress,
  readAdvertised,
  readBytes,
  readCount,
  readDuration,
  readHttpUrl,
  readJoinAddress,
} from "./_shared/readers.ts";
import type { EmbeddedWorkers } from "./server/embedded-workers.ts";
import type { ClusterOptions } from "./server/identity.ts";

export default command({
  examples: [
    { line: "corvo server", says: "Listen on 127.0.0.1:8080, keep everything in ./data" },
    {
      line: "corvo server --join 127.0.0.1:8080 --bind 127.0.0.1:8081 --data-dir ./data-2",
      says: "A second node of the first one's cluster",
    },
    {
      line: "corvo server --join 10.0.0.7 --bind :8080 --peer-bind :9000",
      says: "On another machine, with the word of `corvo cluster token` in CORVO_JOIN_TOKEN",
    },
    {
      line: "corvo server --expect 3 --join a.lan --join b.lan --join c.lan --bind :8080 --peer-bind :9000",
      says: "The same on three machines: one of them founds the cluster, the others join it",
    },
    { line: "corvo server --bind 0.0.0.0:8080 --data-dir /var/lib/corvo", says: "On a server" },
    {
      line: "corvo server --workers 8 --work mail -- ./send-mail.sh",
      says: "With eight workers for the jobs of a queue",
    },
    {
      line: "corvo server --retention 24h --retention-dead 30d",
      says: "Keep finished jobs for less",
    },
  ],
  details:
    "Every acknowledged write is on disk (fsync) before it is acknowledged. SIGTERM or Ctrl-C finishes what runs and stops; a second one stops at once. After a crash the same command line carries on where it stopped.",
  args: {
    bind: {
      type: "string",
      description: "Address to listen on; port 0 takes a free one.",
      valueHint: "HOST:PORT",
      default: "127.0.0.1:8080",
      read: readAddress,
    },
    "data-dir": {
      type: "string",
      description: "Folder for log and state. One server at a time.",
      valueHint: "DIR",
      default: "./data",
    },
    shards: {
      type: "string",
      description: `Parts that the jobs of a new cluster are spread over, 1 to ${shardsMax}, each queue in one; they cannot change later. Default 1. A node that joins learns it.`,
      valueHint: "N",
      read: readShards,
    },
    workers: {
      type: "string",
      description:
        "Run so many jobs at one time with the command after --, beside the server. As `corvo worker` does.",
      valueHint: "N",
      read: readCount,
    },
    work: {
      type: "string",
      description: `Queue that --workers take jobs from; repeatable. Default ${defaultQueue}.`,
      valueHint: "QUEUE",
      repeatable: true,
      read: readQueue,
    },
    join: {
      type: "string",
      description:
        "HTTP address of a node of the cluster to join: HOST[:PORT], a name with several addresses, or srv+NAME. Repeatable. Ignored once the data directory belongs to that cluster.",
      valueHint: "ADDRESS",
      repeatable: true,
      read: readJoinAddress,
    },
    token: {
      type: "string",
      description:
        "Join token of the cluster, from `corvo cluster token`: its id and its secret. Better set by CORVO_JOIN_TOKEN.",
      valueHint: "TOKEN",
      read: readJoinToken,
    },
    expect: {
      type: "string",
      description:
        "Found a cluster together with the nodes of --join, as soon as so many have met; the same line on all of them, itself among its addresses.",
      valueHint: "N",
      read: readCount,
    },
    "peer-bind": {
      type: "string",
      description:
        "Address for the other nodes. Default 127.0.0.1:9000, or a free port when that is taken.",
      valueHint: "HOST:PORT",
      read: readAddress,
    },
    "peer-advertise": {
      type: "string",
      description: "Address under which the other nodes reach the peer port.",
      valueHint: "HOST:PORT",
      read: readAdvertised,
    },
    "advertise-url": {
      type: "string",
      description: "URL under which the other nodes reach the HTTP API.",
      valueHint: "URL",
      read: readHttpUrl,
    },
    "cluster-secret": {
      type: "string",
      description:
        "Proves nodes to each other; the same on all. Better set by CORVO_CLUSTER_SECRET. Needed when --peer-bind is not a loopback address, unless --token has it.",
      valueHint: "TEXT",
    },
    "also-accept-secret": {
      type: "string",
      description:
        "A second secret that other nodes may show, while the cluster goes over from one to another. Better set by CORVO_CLUSTER_SECRET_ALSO.",
      valueHint: "TEXT",
    },
    "peer-tls-cert": {
      type: "string",
      description:
        "Certificate of this node for the peer port (PEM); with --peer-tls-key and --peer-tls-ca.",
      valueHint: "FILE",
    },
    "peer-tls-key": { type: "string", description: "Its private key (PEM).", valueHint: "FILE" },
    "peer-tls-ca": {
      type: "string",
      description:
        "Who must have signed the certificates of all nodes (PEM). Nodes without one are refused.",
      valueHint: "FILE",
    },
    retention: {
      type: "string",
      description: "How long completed and cancelled jobs are kept.",
      valueHint: "DURATION",
      default: "168h",
      read: readDuration,
    },
    "retention-count": {
      type: "string",
      description: "How many completed and cancelled jobs are kept at most.",
      valueHint: "N",
      default: "100000000",
      read: readCount,
    },
    "retention-dead": {
      type: "string",
      description: "How long dead jobs are kept.",
      valueHint: "DURATION",
      default: "720h",
      read: readDuration,
    },
    "retention-dead-count": {
      type: "string",
      description: "How many dead jobs are kept at most.",
      valueHint: "N",
      default: "100000000",
      read: readCount,
    },
    "no-text-index": {
      type: "boolean",
      description:
        "Keep no index of texts. Searches for text then look at as many jobs as one call may, the newest first.",
    },
    "events-max": {
      type: "string",
      description: "How many life-cycle events this node keeps for readers at most.",
      valueHint: "N",
      default: "1000000",
      read: readCount,
    },
    "events-size": {
      type: "string",
      description: "Space on disk for them at most.",
      valueHint: "BYTES",
      default: "256MiB",
      read: readBytes,
    },
    "events-retention": {
      type: "string",
      description: "How long they are kept at most.",
      valueHint: "DURATION",
      default: "24h",
      read: readDuration,
    },
    "require-lease-token": {
      type: "boolean",
      description: "Refuse acks, fails, releases and heartbeats without a lease token.",
    },
    "max-payload-size": {
      type: "string",
      description: "Largest payload, result or checkpoint.",
      valueHint: "BYTES",
      default: String(requestLimits.payloadBytesMax),
      read: readBytes,
    },
    "compress-above": {
      type: "string",
      description: "Payloads and results that are larger are kept compressed; 0 means never.",
      valueHint: "BYTES",
      default: String(requestLimits.compressAboveBytes),
      read: readBytesOrNone,
    },
    "max-body-size": {
      type: "string",
      description: "Largest request body or stream frame.",
      valueHint: "BYTES",
      default: String(requestLimits.bodyBytesMax),
      read: readBytes,
    },
    "blob-bytes-max": {
      type: "string",
      description: "Largest payload or result that is kept as a blob, outside of the log.",
      valueHint: "BYTES",
      default: String(requestLimits.blobBytesMax),
      read: readBytes,
    },
    "blob-grace": {
      type: "string",
      description: "How long a blob that no job uses is kept.",
      valueHint: "DURATION",
      default: "10m",
      read: readDuration,
    },
    "disk-budget": {
      type: "string",
      description:
        "Bytes of jobs and blobs on this node beyond which new payloads are refused. Default: none.",
      valueHint: "BYTES",
      read: readBytes,
    },
    "min-free-disk": {
      type: "string",
      description:
        "Free bytes of the disk that new payloads leave; 0 means they may fill it. Default: a twentieth of the disk, 64MiB at most.",
      valueHint: "BYTES",
      read: readBytesOrNone,
    },
    "webhook-allow": {
      type: "string",
      description:
        "Address range or host name that webhooks may call although it is not public, such as 10.0.0.0/8 or hooks.lan. Repeatable.",
      valueHint: "CIDR|HOST",
      repeatable: true,
      read: readAllowRule,
    },
    "cache-jobs": {
      type: "string",
      description: "Waiting jobs kept in memory; the others are read when they are claimed.",
      valueHint: "N",
      default: "100000",
      read: readCount,
    },
    "log-tail": {
      type: "string",
      description:
        "Log entries that a node of a cluster may lack and still catch up without a copy of the whole state.",
      valueHint: "N",
      default: "20000",
      read: readCount,
    },
    "shutdown-timeout": {
      type: "string",
      description: "How long a stop waits for requests that run.",
      valueHint: "DURATION",
      default: "10s",
      read: readDuration,
    },
    "log-format": {
      type: "enum",
      description: "Default: human on a terminal, json otherwise.",
      options: logFormats,
    },
    "log-level": { type: "enum", description: "Default: info.", options: logLevels },
  },
  takesCommand: true,
  async run(args, context) {
    const { system } = context;
    const log = createLogger(system, {
      level: args["log-level"] ?? "info",
      format: args["log-format"] ?? defaultLogFormat(system),
      noColor: context.globals.noColor === true,
    });
    if (args["max-payload-size"] > args["max-body-size"]) {
      throw new UsageError("--max-payload-size is larger than --max-body-size");
    }
    if (args.expect !== undefined && args.join.length === 0) {
      throw new UsageError(
        "--expect needs the addresses of the nodes",
        "Name every node with --join, this one too, or one name that has all their addresses.",
      );
    }
    const workers = await workersOf(args, context, log);
    const { runServer } = await import("./server/run.ts");
    return runServer(
      {
        ...args.bind,
        cluster: {
          join: args.join,
          expect: args.expect,
          peerBind: args["peer-bind"],
          peerAdvertise: args["peer-advertise"],
          advertiseUrl: args["advertise-url"],
          tls: tlsFilesOf(args["peer-tls-cert"], args["peer-tls-key"], args["peer-tls-ca"]),
          ...membershipOf(args.token ?? tokenOfEnv(system.env["CORVO_JOIN_TOKEN"]), {
            secret: args["cluster-secret"] ?? (system.env["CORVO_CLUSTER_SECRET"] || undefined),
            also:
              args["also-accept-secret"] ?? (system.env["CORVO_CLUSTER_SECRET_ALSO"] || undefined),
            expect: args.expect,
          }),
        },
        dataDir: args["data-dir"],
        shards: args.shards,
        cachedJobsMax: args["cache-jobs"],
        textIndex: args["no-text-index"] !== true,
        logTailEntries: args["log-tail"],
        requireLeaseToken: args["require-lease-token"] === true,
        payloadBytesMax: args["max-payload-size"],
        bodyBytesMax: args["max-body-size"],
        compressAboveBytes: args["compress-above"],
        blobBytesMax: args["blob-bytes-max"],
        blobGraceMs: args["blob-grace"],
        disk: { budgetBytes: args["disk-budget"], minFreeBytes: args["min-free-disk"] },
        webhookAllow: args["webhook-allow"],
        retention: {
          doneMs: args.retention,
          doneMax: args["retention-count"],
          deadMs: args["retention-dead"],
          deadMax: args["retention-dead-count"],
        },
        events: {
          eventsMax: args["events-max"],
          bytesMax: args["events-size"],
          keepMs: args["events-retention"],
        },
      },
      { log, context, graceMs: args["shutdown-timeout"], workers },
    );
  },
});

interface WorkersArgs {
  readonly workers: number | undefined;
  readonly work: readonly string[];
  readonly "shutdown-timeout": number;
}

async function workersOf(
  args: WorkersArgs,
  context: Context,
  log: Logger,
): Promise<EmbeddedWorkers | undefined> {
  const { trailing } = context;
  if (args.workers === undefined || args.workers === 0) {
    const stray = args.work.length > 0 ? "--work" : trailing === undefined ? undefined : "--";
    if (stray === undefined) return undefined;
    throw new UsageError(
      `${stray} is for the workers of this server, and --workers is not given`,
      "corvo server --workers 8 -- ./handler.sh",
    );
  }
  if (trailing === undefined || trailing.length === 0) {
    throw new UsageError(
      "--workers needs a command to run for each job",
      "corvo server --workers 8 -- ./handler.sh",
    );
  }
  const { resolveCommand } = await import("./worker/runner-system.ts");
  const { EmbeddedWorkers } = await import("./server/embedded-workers.ts");
  const options = {
    count: args.workers,
    queues: args.work.length === 0 ? [defaultQueue] : [...new Set(args.work)],
    command: resolveCommand(trailing, context.system.env),
    graceMs: args["shutdown-timeout"],
    env: context.system.env,
  };
  return new EmbeddedWorkers(options, log, context.system.timers);
}

function readBytesOrNone(text: string): number {
  return text === "0" ? 0 : readBytes(text);
}

function readShards(text: string): number {
  const shards = readCount(text);
  if (shards >= 1 && shards <= shardsMax) return shards;
  throw new BadValue(`${text} shards; a cluster has 1 to ${shardsMax}`);
}

function readAllowRule(text: string): AllowRule {
  const rule = parseAllowRule(text);
  if (rule !== undefined) return rule;
  throw new BadValue(
    `${text} is no address, range of addresses or host name`,
    "Examples are 10.1.2.3, 10.0.0.0/8, fd00::/8 and hooks.lan.",
  );
}

function tokenOfEnv(text: string | undefined): JoinToken | undefined {
  if (text === undefined || text === "") return undefined;
  try {
    return readJoinToken(text);
  } catch (error) {
    if (error instanceof BadValue)
      throw new UsageError(`CORVO_JOIN_TOKEN: ${error.message}`, error.hint);
    throw error;
  }
}

/** The secrets, and the cluster that the token names. */
function membershipOf(
  token: JoinToken | undefined,
  given: {
    readonly secret: string | undefined;
    readonly also: string | undefined;
    readonly expect: number | undefined;
  },
): Pick<ClusterOptions, "secrets" | "clusterId"> {
  const { secret, also, expect } = given;
  const own = token?.secret ?? secret;
  if (also !== undefined && own === undefined) {
    throw new UsageError(
      "CORVO_CLUSTER_SECRET_ALSO is a second secret, and this node has no first one",
      "Set CORVO_CLUSTER_SECRET to the secret that the nodes have now.",
    );
  }
  if (token === undefined) return { secrets: { own, also }, clusterId: undefined };
  if (expect !== undefined) {
    throw new UsageError(
      "a join token is of a cluster that exists, and --expect forms one",
      "Leave one of them out.",
    );
  }
  if (secret !== undefined && token.secret !== undefined && secret !== token.secret) {
    throw new UsageError("the join token has another secret than CORVO_CLUSTER_SECRET");
  }
  return { secrets: { own, also }, clusterId: token.clusterId };
}

/** All three files, or none. */
function tlsFilesOf(
  cert: string | undefined,
  key: string | undefined,
  ca: string | undefined,
): { cert: string; key: string; ca: string } | undefined {
  if (cert === undefined && key === undefined && ca === undefined) return undefined;
  if (cert === undefined || key === undefined || ca === undefined) {
    throw new UsageError("--peer-tls-cert, --peer-tls-key and --peer-tls-ca are given together");
  }
  return { cert, key, ca };
}
