/**
 * Do the tests find bugs? Puts known ones back, one at a time, into a copy of the program, and counts the seeds until
 * each is found, or names the first story or scenario that fails. `npm run mutations -- [SEEDS] [TEXT]`: only
 * bugs whose id or sentence contains TEXT. Prints the rows of a table, and fails when one is not found.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { foundBugs } from "./found-bugs.ts";
import { families, type KnownBug, knownBugs } from "./known-bugs.ts";

const seedsMax = Number(process.argv[2] ?? 60);
const wanted = process.argv[3] ?? "";
/** A bug may make something run for ever. */
const runMsMax = 300_000;
const root = join(import.meta.dir, "../..");
const copied = ["src", "test/sim", "test/support", "test/raft", "docs/spec"];

const chosen = knownBugs.filter(({ id, says }) => id === wanted || says.includes(wanted));
let missed = 0;
console.log("| id | family | put back | found by |\n|---|---|---|---|");
for (const bug of chosen) {
  const place = mkdtempSync(join(tmpdir(), "corvo-mutation-"));
  try {
    prepare(bug, place);
    const found = bug.by === "simulator" ? findBySeeds(place) : findByTests(place);
    if (found === undefined) missed++;
    missed += foundBugs.filter((run) => run.bug === bug.id && !failsAgain(run, place)).length;
    const family = families[bug.id?.slice(0, 1) ?? ""] ?? "";
    console.log(`| ${bug.id ?? ""} | ${family} | ${bug.says} | ${found ?? "NOTHING"} |`);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
console.log(`${chosen.length - missed} of ${chosen.length} found within ${seedsMax} seeds`);
process.exitCode = missed === 0 ? 0 : 1;

function prepare({ file, from, to }: KnownBug, place: string): void {
  for (const folder of copied) cpSync(join(root, folder), join(place, folder), { recursive: true });
  for (const name of ["package.json", "tsconfig.json"]) cpSync(join(root, name), join(place, name));
  symlinkSync(join(root, "node_modules"), join(place, "node_modules"));
  const text = readFileSync(join(place, file), "utf8");
  if (!text.includes(from))
    throw new Error(`${file} does not hold what is to be replaced: ${from}`);
  writeFileSync(
    join(place, file),
    text.replace(from, () => to),
  );
}

function findBySeeds(place: string): string | undefined {
  const args = ["--seeds", String(seedsMax), "--steps", "2000", "--no-shrink", "--jobs", "1"];
  const { exitCode, stdout } = run(["test/sim/main.ts", ...args], place);
  if (exitCode === 0) return undefined;
  const found = stdout.match(/^seed (\d+), step \d+.*?, faults [^:]*: (.*)$/m);
  if (found === null) throw new Error(`no seed failed: ${stdout}`);
  const text = found[2] ?? "";
  return `seed ${found[1]}: ${text.length > 90 ? `${text.slice(0, 87)}...` : text}`;
}

/** A run that once showed the bug must still do so. */
function failsAgain({ seed, steps, nodes, faults }: (typeof foundBugs)[number], place: string) {
  const numbers = { seed, steps, nodes };
  const flags = Object.entries(numbers).flatMap(([name, n]) => [`--${name}`, String(n)]);
  const args = [...flags, "--faults", (faults ?? []).join(), "--no-shrink"];
  const isFound = run(["test/sim/main.ts", ...args], place).exitCode === 1;
  if (!isFound) console.log(`seed ${seed} of found-bugs.ts does not show its bug any more`);
  return isFound;
}

function findByTests(place: string): string | undefined {
  const files = ["raft/transcripts", "raft/paper", "sim/membership-scenarios"].map(
    (name) => `test/${name}.test.ts`,
  );
  const { exitCode, stderr } = run(["test", ...files], place);
  if (exitCode === 0) return undefined;
  const failed = [
    ...stderr.matchAll(/^\(fail\) (?:the story in )?(.+?)(?: goes as written)? \[/gm),
  ];
  if (failed.length === 0) throw new Error(`no test failed: ${stderr.slice(-2000)}`);
  const more = failed.length > 1 ? `, and ${failed.length - 1} more` : "";
  return `${failed[0]?.[1]}${more}`;
}

function run(args: readonly string[], cwd: string) {
  const child = Bun.spawnSync([process.execPath, ...args], { cwd, timeout: runMsMax });
  const { exitCode } = child;
  return { exitCode, stdout: child.stdout.toString(), stderr: child.stderr.toString() };
}
