/**
 * `corvo enqueue`: one job from the line, or many from a file. Its flags are the members of the request, so what can be
 * said over HTTP can be said here; the payload travels as the text that was given.
 */
import { operations } from "../api/operations.ts";
import { command } from "./_shared/command.ts";
import { type EnqueueBody, enqueueOne } from "./_shared/enqueue-one.ts";
import { UsageError } from "./_shared/exit.ts";
import { readPayload } from "./_shared/payload.ts";
import { readPayloadFile } from "./_shared/payload-file.ts";
import { readQueue } from "./_shared/queue-args.ts";
import { schemaFlags, schemaValues } from "./_shared/schema-args.ts";

const schema = operations.enqueueJob.body;

export default command({
  details: [
    "PAYLOAD is any JSON value and is sent as it is typed; `-` reads it from standard input, @FILE from a file. Bytes that",
    "are no JSON come with --payload-file.",
    "With --file, many jobs come from a file or from standard input: a JSON array, or one JSON object per line, of",
    "{id, queue, payload, …} with the fields that the flags are made from. QUEUE and the flags are the defaults of",
    "each. An id becomes the unique key, held until the job has ended. Importing the same file with the same defaults",
    "again within 24 hours adds nothing twice, so an interrupted import is repeated as it was; another",
    "--idempotency-key makes it a new one.",
  ].join(" "),
  examples: [
    { line: `corvo enqueue mail '{"to":"ada@example.org"}'`, says: "Add a job" },
    {
      line: "corvo enqueue report @report.json --delay 10m --max-retries 5",
      says: "Payload from a file, to be run in ten minutes",
    },
    {
      line: `echo '{"n":1}' | corvo enqueue mail - --unique-key welcome-42 --tags customer=42`,
      says: "Payload from a pipe, at most one unfinished job for this key",
    },
    {
      line: "corvo enqueue deploy --depends-on job_0193a1b2c3d000000000000001",
      says: "Run it when that job is completed",
    },
    {
      line: `corvo enqueue build --chain '{"steps":[{"queue":"build"},{"queue":"deploy"}]}'`,
      says: "Two jobs, one after the other",
    },
    {
      line: "corvo enqueue scan --payload-file page.png",
      says: "The bytes of a file as the payload; a large one is kept as a blob",
    },
    { line: "corvo enqueue mail --file jobs.ndjson", says: "Many jobs, one JSON object per line" },
    {
      line: "corvo enqueue mail --file jobs.ndjson --dry-run",
      says: "Only check the file",
    },
  ],
  args: {
    queue: {
      type: "positional",
      required: false,
      read: readQueue,
      description: "Queue of the job; with --file, of the jobs that name none.",
    },
    payload: {
      type: "positional",
      required: false,
      description: "JSON, - for standard input, or @FILE. Default {}.",
    },
    file: {
      type: "string",
      valueHint: "FILE",
      description: "Add the jobs of a file, or of standard input with -.",
    },
    "payload-file": {
      type: "string",
      valueHint: "FILE",
      description:
        "The bytes of a file, or of standard input with -, as the payload; with --content-type, otherwise by its name.",
    },
    "dry-run": { type: "boolean", description: "Check the jobs of --file and add none." },
    ...schemaFlags(schema, {
      omit: ["queue", "payload"],
      alias: { tags: ["tag"], resources: ["resource"], requires: ["require"] },
    }),
  },
  async run(args, context) {
    const options = schemaValues(schema, { ...args, queue: undefined, payload: undefined });
    if (args.file !== undefined) {
      if ([args.payload, args["payload-file"]].some((payload) => payload !== undefined)) {
        throw new UsageError("both a payload and --file are given", "Leave one out.");
      }
      const { importJobs } = await import("./_shared/import-jobs.ts");
      const dryRun = args["dry-run"] === true;
      return importJobs(context, { source: args.file, queue: args.queue, options, dryRun });
    }
    if (args["dry-run"] === true) {
      throw new UsageError("--dry-run needs --file", "A single job is checked as it is added.");
    }
    if (args.queue === undefined) {
      throw new UsageError("QUEUE is missing", "Write `corvo enqueue QUEUE PAYLOAD`.");
    }
    const ways = [args.payload, args["payload-file"], options["payload_base64"]];
    if ([...ways, options["payload_blob"]].filter((way) => way !== undefined).length > 1) {
      throw new UsageError("more than one payload is given", "Leave all but one out.");
    }
    const payload =
      args["payload-file"] !== undefined
        ? await readPayloadFile(context, args["payload-file"], options["content_type"])
        : args.payload === undefined
          ? {}
          : { payload: await readPayload(context.system, args.payload) };
    // The flags were read and checked by the schema of this very body.
    return enqueueOne(context, { queue: args.queue, ...payload, ...options } as EnqueueBody);
  },
});
