/**
 * Measures how nodes come up to a large state, and what that does to those who work meanwhile: `--jobs N` (default
 * 1,000,000) with payloads of `--payload-bytes N` (100), a load of `--rate N` jobs a second (100) and as many claims from
 * the long queue, `--calm SECONDS` (15) before and after each story, `--log-tail N` entries (2000). `--json` for programs.
 */
import { availableParallelism, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { type CatchUpOptions, catchUp } from "../test/support/cluster/catch-up.ts";
import { storyLines } from "../test/support/cluster/catch-up-report.ts";

const { values } = parseArgs({
  options: {
    jobs: { type: "string", default: "1000000" },
    "payload-bytes": { type: "string", default: "100" },
    rate: { type: "string", default: "100" },
    calm: { type: "string", default: "15" },
    "log-tail": { type: "string", default: "2000" },
    json: { type: "boolean", default: false },
  },
});
const options: CatchUpOptions = {
  jobs: Number(values.jobs),
  payloadBytes: Number(values["payload-bytes"]),
  rate: Number(values.rate),
  calmSeconds: Number(values.calm),
  logTail: Number(values["log-tail"]),
  say: (sentence) => console.error(sentence),
};
const { jobs, payloadBytes, rate, calmSeconds, logTail } = options;
const counts = [jobs, payloadBytes, rate, calmSeconds, logTail];
if (!counts.every((count) => Number.isInteger(count) && count > 0)) {
  console.error(
    "usage: npm run catch-up -- [--jobs N] [--payload-bytes N] [--rate N] [--calm SECONDS] [--log-tail N] [--json]",
  );
  process.exit(2);
}

const conditions = {
  jobs,
  payloadBytes,
  rate,
  logTail,
  fsync: true,
  cores: availableParallelism(),
  loadAverageBefore: loadavg()[0],
};
const stories = await catchUp(options);
console.log(
  values.json ? JSON.stringify({ conditions, stories }, null, 2) : storyLines(stories).join("\n"),
);
if (!values.json) console.log(`\n${JSON.stringify(conditions)}`);
process.exitCode = stories.every(({ problems }) => problems.length === 0) ? 0 : 1;
