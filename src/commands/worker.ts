/** `corvo worker`: the flags of a worker and their checks. The runner is loaded only when it runs (`worker/`). */
import { requestLimits as limits, queueNamePattern } from "../api/limits.ts";
import { formatDuration, formatTime } from "../base/time.ts";
import { buildVersion } from "./_shared/build.ts";
import { command } from "./_shared/command.ts";
import type { Context } from "./_shared/context.ts";
import { UsageError } from "./_shared/exit.ts";
import { BadValue, type Reader, readCount, readDuration, readPairs } from "./_shared/readers.ts";
import type { RunnerOptions } from "./worker/run-worker.ts";

const concurrencyMax = 10_000;

const readQueue: Reader<string> = (text) => {
  if (new RegExp(queueNamePattern).test(text) && text.length <= limits.queueNameLengthMax) {
    return text;
  }
  throw new BadValue(
    `${JSON.stringify(text)} is not a queue name`,
    "Names start with a letter, a digit or { and hold letters, digits and . _ - : / @ + { }",
  );
};

const readTimeout: Reader<number> = (text) => {
  const timeoutMs = readDuration(text);
  if (timeoutMs > 0) return timeoutMs;
  throw new BadValue("no attempt can end within no time", "Leave the flag out for no limit.");
};

const readLease: Reader<number> = (text) => {
  const leaseMs = readDuration(text);
  if (leaseMs >= limits.leaseMsMin && leaseMs <= limits.leaseMsMax) return leaseMs;
  const range = `${formatDuration(limits.leaseMsMin)} to ${formatDuration(limits.leaseMsMax)}`;
  throw new BadValue(`${text} is outside of ${range}`);
};

const readConcurrency: Reader<number> = (text) => {
  const count = readCount(text);
  if (count > concurrencyMax) throw new BadValue(`${text} is more than ${concurrencyMax}`);
  return count;
};

const readWorkerId: Reader<string> = (text) => {
  if (text !== "" && text.length <= limits.keyLengthMax) return text;
  throw new BadValue(`${text.length} characters; 1 to ${limits.keyLengthMax} are allowed`);
};

const args = {
  queues: {
    type: "positional",
    rest: true,
    read: readQueue,
    description: "Queues to take jobs from.",
  },
  concurrency: {
    type: "string",
    alias: ["c"],
    valueHint: "N",
    read: readConcurrency,
    default: "1",
    description: "Jobs to run at one time. Default 1.",
  },
  persistent: {
    type: "boolean",
    description:
      "Keep one process per slot and send it each job as a line of JSON, instead of one process per job.",
  },
  timeout: {
    type: "string",
    valueHint: "DURATION",
    read: readTimeout,
    description: "Time for one attempt of jobs that bring none of their own. Default: no limit.",
  },
  "kill-after": {
    type: "string",
    valueHint: "DURATION",
    read: readDuration,
    default: "10s",
    description: "From SIGTERM to SIGKILL when a command must stop. Default 10s.",
  },
  grace: {
    type: "string",
    valueHint: "DURATION",
    read: readDuration,
    default: "30s",
    description: "How long running jobs may go on after the first signal. Default 30s.",
  },
  lease: {
    type: "string",
    valueHint: "DURATION",
    read: readLease,
    default: "60s",
    description:
      "How long a job stays with a worker that is not heard of; renewed each third of it. Default 60s.",
  },
  drain: {
    type: "boolean",
    description: "End when no job of the queues is waiting, scheduled or to be retried.",
  },
  label: {
    type: "string",
    valueHint: "NAME=VALUE",
    repeatable: true,
    read: readPairs,
    description:
      "What this worker has of what jobs may require (corvo enqueue --require); may be repeated.",
  },
  "worker-id": {
    type: "string",
    valueHint: "ID",
    read: readWorkerId,
    description: "Name of this worker. Default: host, process id and some random digits.",
  },
} as const;

export default command({
  details: `The command gets the payload on standard input and CORVO_JOB_ID, CORVO_QUEUE, CORVO_ATTEMPT, CORVO_MAX_RETRIES, CORVO_LEASE_TOKEN, CORVO_TAGS, CORVO_CHECKPOINT_FILE and CORVO_RESULT_FILE in its environment, and CORVO_CONTENT_TYPE with a payload that is no JSON. Exit code 0 finishes the job, 75 retries it, 65 sends it to dead at once, any other fails the attempt. docs/guides/workers.md has all of it.

Without a command each job is printed and finished; with --json as one line of JSON.

Exit code 0: stopped by one signal, or drained; 2: wrong usage or no such command; 4: the key is not accepted; 6: the last reports were not confirmed by the server; 130: two signals.`,
  examples: [
    { line: "corvo worker mail -- ./send-mail.sh", says: "Run a script for each job" },
    {
      line: "corvo worker images thumbs --concurrency 4 --timeout 5m -- python3 resize.py",
      says: "Two queues, four jobs at one time, five minutes each",
    },
    {
      line: "corvo worker events --persistent -- node handler.js",
      says: "One long-lived process, a line of JSON for each job",
    },
    {
      line: "corvo worker renders --label gpu=a100 -- ./render.sh",
      says: "Also take jobs that require this label",
    },
    { line: "corvo worker reports --drain -- make report", says: "Work until nothing is left" },
    { line: "corvo worker mail --json", says: "Print jobs and finish them" },
  ],
  args,
  takesCommand: true,
  async run(values, context) {
    const { createRunnerSystem, resolveCommand, defaultWorkerId, hostName } = await import(
      "./worker/runner-system.ts"
    );
    const { runWorker } = await import("./worker/run-worker.ts");
    const queues = [...new Set(values.queues)];
    if (queues.length > limits.claimQueuesMax) {
      throw new UsageError(
        `${queues.length} queues are given; a worker takes at most ${limits.claimQueuesMax}`,
      );
    }
    const options: RunnerOptions = {
      server: context.globals.server,
      apiKey: context.globals.apiKey,
      queues,
      command: resolveCommand(commandOf(context, values.persistent === true), context.system.env),
      concurrency: values.concurrency,
      leaseMs: values.lease,
      timeoutMs: values.timeout,
      killAfterMs: values["kill-after"],
      graceMs: values.grace,
      isDrain: values.drain === true,
      isPersistent: values.persistent === true,
      isQuiet: context.globals.quiet,
      isJson: context.globals.json,
      workerId: values["worker-id"] ?? defaultWorkerId(context.system.random),
      hostname: hostName(),
      client: `corvo worker ${buildVersion}`,
      startedAt: formatTime(context.system.clock.nowMs()),
      labels: Object.assign({}, ...values.label),
    };
    await checkServer(context);
    // Whoever forgot the dashes named the command as one more queue, and their jobs are gone once they are printed.
    if (options.command.length === 0) {
      context.output.note("no command is given after --: each job is printed and finished");
    }
    context.takeSignals();
    return runWorker(options, createRunnerSystem(context));
  },
});

function commandOf(context: Context, isPersistent: boolean): readonly string[] {
  const given = context.trailing;
  if (given !== undefined && given.length === 0) {
    throw new UsageError("the command after -- is missing", "corvo worker mail -- ./send-mail.sh");
  }
  if (given === undefined && isPersistent) {
    throw new UsageError("--persistent needs a command", "Write it at the end, after --.");
  }
  return given ?? [];
}

/**
 * A stream only sees that it was not let in, and goes on trying. So one ordinary call is made first, which tells a wrong key, or
 * something else at the address, from a server that is not there yet; that one is waited for.
 */
async function checkServer(context: Context): Promise<void> {
  const { connect } = await import("./_shared/client.ts");
  const { CorvoError } = await import("../base/errors.ts");
  try {
    const { signal } = context;
    const info: unknown = await connect(context, { attemptsMax: 1 }).info({}, { signal });
    if (typeof info === "object" && info !== null && "server_version" in info) return;
    throw new CorvoError("UNAVAILABLE", `what answers at ${context.globals.server} is no server`, {
      retryable: false,
      hint: "Is this the address of a Corvo server, and of no proxy before it?",
    });
  } catch (error) {
    if (!(error instanceof CorvoError) || !error.retryable) throw error;
    context.log.warn(`${error.message}; the worker goes on trying`);
  }
}
