/**
 * The main job on real input, by the command line alone: every file of this repository becomes a job, a shell script
 * hashes it, two workers share the work, the server is killed with -9 in the middle and started again, one job fails and is
 * tried again, one ends dead and is retried by hand. At the end each result is compared with what sha256sum says.
 */
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = new URL("../", import.meta.url).pathname;
const place = mkdtempSync(join(tmpdir(), "corvo-demo-"));
const late = join(place, "late.txt");
const env: Record<string, string | undefined> = {
  ...process.env,
  PATH: `${root}dist:${process.env["PATH"]}`,
  NO_COLOR: "1",
};
const waitMsMax = 60_000;

class DemoFailed extends Error {}

function say(text: string): void {
  console.log(`\n# ${text}`);
}

function check(holds: boolean, problem: string): void {
  if (!holds) throw new DemoFailed(problem);
}

/** Runs a line as typed, shows it with the first of its output, and returns all of it. */
async function type(line: string, shownLines = 8): Promise<{ code: number; output: string }> {
  console.log(`$ ${line}`);
  const run = Bun.spawn(["sh", "-c", `{ ${line}\n} 2>&1`], { cwd: place, env, stdin: "ignore" });
  const output = await new Response(run.stdout).text();
  const lines = output.trimEnd().split("\n");
  for (const text of lines.slice(0, shownLines)) if (text !== "") console.log(`  ${text}`);
  if (lines.length > shownLines) console.log(`  … ${lines.length - shownLines} more lines`);
  return { code: await run.exited, output };
}

/** Runs a line quietly, for what only the demo itself wants to know. */
async function ask(line: string): Promise<string> {
  const run = Bun.spawn(["sh", "-c", line], { cwd: place, env, stdin: "ignore", stderr: "ignore" });
  return new Response(run.stdout).text();
}

interface Started {
  readonly child: Bun.Subprocess;
  readonly firstLine: Promise<string>;
}

const started: Bun.Subprocess[] = [];

function start(words: readonly string[], logName: string): Started {
  console.log(`$ ${words.join(" ")} &`);
  const child = Bun.spawn([...words], {
    cwd: place,
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: Bun.file(join(place, `${logName}.log`)),
  });
  started.push(child);
  const { promise: firstLine, resolve } = Promise.withResolvers<string>();
  let text = "";
  const read = async () => {
    for await (const chunk of child.stdout) {
      text += new TextDecoder().decode(chunk);
      if (text.includes("\n")) resolve(text.split("\n")[0] ?? "");
    }
    resolve(text);
  };
  void read();
  return { child, firstLine };
}

async function startServer(bind: string): Promise<{ child: Bun.Subprocess; url: string }> {
  const { child, firstLine } = start(
    ["corvo", "server", "--bind", bind, "--data-dir", "data"],
    `server-${started.length}`,
  );
  const line = await firstLine;
  console.log(`  ${line}`);
  const url = /http:\S+/.exec(line)?.[0];
  check(url !== undefined, `the server did not start: ${line}`);
  return { child, url: url ?? "" };
}

async function countOf(state: string): Promise<number> {
  const text = await ask("corvo queue get hash --json");
  return text === "" ? 0 : ((JSON.parse(text) as Record<string, number>)[state] ?? 0);
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + waitMsMax;
  while (!(await holds())) {
    check(performance.now() < deadlineMs, `not within ${waitMsMax / 1000} s: ${what}`);
    await Bun.sleep(20);
  }
}

/** Every file of the tree that git would know, in a fixed order. */
function filesBelow(folder: string): string[] {
  const left = new Set([".git", "node_modules", "dist", "data"]);
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => !left.has(entry.name))
    .flatMap((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return filesBelow(path);
      return entry.isFile() && statSync(path).size > 0 ? [path] : [];
    })
    .sort();
}

const handler = `#!/bin/sh
# The payload comes on standard input: the path of a file, as JSON text.
read -r payload
path=\${payload#\\"}; path=\${path%\\"}
case "$path:$CORVO_ATTEMPT" in
  */README.md:1) echo "the first attempt at $path fails on purpose" >&2; exit 1 ;;
esac
[ -f "$path" ] || { echo "no such file: $path" >&2; exit 65; }
sleep 0.02   # so that there is a middle to crash in
hash=$( { sha256sum "$path" 2>/dev/null || shasum -a 256 "$path"; } | cut -d' ' -f1)
printf '{"path":"%s","sha256":"%s"}' "$path" "$hash" > "$CORVO_RESULT_FILE"
`;

async function demo(): Promise<void> {
  // One page of a list has 1000 rows, and this is a demonstration of work, not of pages.
  const files = filesBelow(root).slice(0, 900);
  writeFileSync(join(place, "hash.sh"), handler);
  chmodSync(join(place, "hash.sh"), 0o755);
  const records = [...files, late].map((path) =>
    JSON.stringify({ queue: "hash", payload: path, retry_base_delay: "200ms" }),
  );
  writeFileSync(join(place, "jobs.ndjson"), `${records.join("\n")}\n`);

  say(`The executable, and a folder with a script that hashes one file: ${place}`);
  await type("corvo version; cat hash.sh", 20);

  say("A server. Everything it acknowledges is on disk first.");
  const first = await startServer("127.0.0.1:0");
  env["CORVO_SERVER"] = first.url;

  say(
    `${files.length} files of this repository become jobs; one more names a file that does not exist.`,
  );
  const added = await type("corvo enqueue --file jobs.ndjson");
  check(added.code === 0, "the jobs were not added");
  await type("corvo queue list");

  say("Two workers, four scripts each.");
  const work = [
    "corvo",
    "worker",
    "hash",
    "--concurrency",
    "4",
    "--lease",
    "3s",
    "--",
    "./hash.sh",
  ];
  const workers = [start(work, "worker-1"), start(work, "worker-2")];

  say("Kill the server with -9 as soon as a third is done. Workers and scripts go on.");
  await until("a third is done", async () => (await countOf("completed")) >= files.length / 3);
  console.log(`$ kill -9 ${first.child.pid}`);
  first.child.kill("SIGKILL");
  await first.child.exited;
  await type("corvo status");

  say(
    "Start it again on what it left. Look at: it finds its jobs, the workers come back by themselves.",
  );
  const second = await startServer(new URL(first.url).host);
  await type("corvo queue list");
  await until("all but one are done", async () => (await countOf("completed")) === files.length);
  await type("corvo queue list");

  say("One job failed once and was tried again. Look at: attempt 2, and the reason of the first.");
  const retried = (
    await ask("corvo jobs list --error-contains 'fails on purpose' --json -q")
  ).trim();
  const retriedId = /job_[0-9a-f]{26}/.exec(retried)?.[0] ?? "";
  const shown = await type(`corvo jobs get ${retriedId}`, 24);
  check(shown.output.includes("fails on purpose"), "the first failure is not in the history");

  say("One job is dead: the script said 65, try no more. Give it its file, and retry it by hand.");
  const dead = await type("corvo jobs list --state dead");
  check(/job_[0-9a-f]{26}/.test(dead.output), "no job is dead");
  await type(`echo 'here now' > ${late}; corvo jobs retry --state dead --yes`);
  await until(
    "the dead one is done",
    async () => (await countOf("completed")) === files.length + 1,
  );

  say("Stop the workers and compare every result with sha256sum.");
  console.log(`$ kill ${workers.map(({ child }) => child.pid).join(" ")}`);
  for (const { child } of workers) child.kill("SIGTERM");
  const codes = await Promise.all(workers.map(({ child }) => child.exited));
  check(
    codes.every((code) => code === 0),
    `the workers ended with ${codes}`,
  );
  await compare([...files, late]);

  say("SIGTERM finishes what runs and stores the state.");
  console.log(`$ kill ${second.child.pid}`);
  second.child.kill("SIGTERM");
  check((await second.child.exited) === 0, "the server did not stop cleanly");
}

/** Results as the server has them, sums as the machine has them. */
async function compare(files: readonly string[]): Promise<void> {
  const line =
    "corvo jobs list --queue hash --limit 1000 -q | xargs -n 100 corvo jobs wait --timeout 10s > results.txt";
  await type(`${line}; wc -l < results.txt`);
  await type(
    'grep -o \'[^"]*","sha256":"[0-9a-f]*\' results.txt | sed \'s/","sha256":"/ /\' | awk \'{print $2 "  " $1}\' | sort -k 2 > corvo.sums; wc -l < corvo.sums',
  );
  writeFileSync(join(place, "files.txt"), `${files.join("\n")}\n`);
  await type(
    'xargs sh -c \'sha256sum "$@" 2>/dev/null || shasum -a 256 "$@"\' sh < files.txt | sort -k 2 > machine.sums; wc -l < machine.sums',
  );
  const same = await type("cmp corvo.sums machine.sums && echo 'all hashes are the same'");
  check(same.code === 0, "the hashes differ");
  const sums = (await ask("cat corvo.sums")).trimEnd().split("\n");
  check(sums.length === files.length, `${sums.length} results for ${files.length} files`);
  console.log(`  ${files.length} jobs, ${sums.length} results, none lost, none twice`);
}

const startedMs = performance.now();
let failure: unknown;
try {
  await demo();
} catch (error) {
  failure = error;
}
for (const child of started) child.kill("SIGKILL");
await Promise.all(started.map((child) => child.exited));
if (failure === undefined) {
  rmSync(place, { recursive: true, force: true });
  console.log(
    `\nThe demo took ${((performance.now() - startedMs) / 1000).toFixed(1)} s; everything held.`,
  );
} else {
  console.error(`\nThe demo failed: ${failure instanceof Error ? failure.message : failure}`);
  console.error(`Its folder stays for a look: ${place}`);
  process.exitCode = 1;
}
