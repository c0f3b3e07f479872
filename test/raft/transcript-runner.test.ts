import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { scoreTranscript } from "./transcripts/score.ts";

const oneNode = "add-nodes 1 voters=(1) index=2\n----\nINFO said in other words\n\n";
const state = "raft-state\n----\n1: StateFollower (Voter) Term:0 Lead:0\n";

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "corvo-transcripts-"));
  for (const name of [".git", "vendor", "testdata/deep"])
    mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, "testdata/deep/story.txt"), oneNode + state);
  writeFileSync(join(folder, ".git/description.txt"), "raft-state\n----\nwrong\n");
  writeFileSync(join(folder, "vendor/story.txt"), "raft-state\n----\nwrong\n");
  writeFileSync(join(folder, "notes.txt"), "nothing is expected here\n");
});

afterAll(() => rmSync(folder, { recursive: true }));

function run(...args: string[]): { exitCode: number; output: string } {
  const script = join(import.meta.dir, "transcripts/main.ts");
  const { exitCode, stdout, stderr } = Bun.spawnSync([process.execPath, script, ...args]);
  return { exitCode, output: stdout.toString() + stderr.toString() };
}

test("a whole repository can be named: other texts, hidden and vendored folders are left out", () => {
  const { exitCode, output } = run(folder, "--level", "protocol");

  expect(exitCode).toBe(0);
  expect(output).toContain("testdata/deep/story.txt: strict 1/2  protocol 2/2  state 1/1");
  expect(output).toContain("total of 1 files:");
  expect(output).toContain("(1 other .txt files)");
});

test("the exit code tells a difference at the level, and a folder without transcripts", () => {
  expect(run(folder).exitCode).toBe(1);
  expect(run(folder, "--level", "loose")).toEqual({
    exitCode: 2,
    output: "usage: npm run transcripts -- PATH [--level strict|protocol|state] [--rewrite]\n",
  });
  expect(run(join(folder, "vendor", "..", ".git")).exitCode).toBe(1);
  expect(run(join(folder, "notes.txt")).output).toStartWith("no transcripts among 1 .txt files");
});

test("a directive that nobody knows is counted, alone or among others that share an output", () => {
  const score = scoreTranscript(`${oneNode}fly 1\n----\nok\n\nraft-state\nfly 1\n----\nok\n`);

  expect(score.unsupported).toBe(2);
  expect(score.tallies.protocol).toEqual({ passed: 1, total: 1 });
});

test("directives that share an output are quiet together or heard in order", () => {
  const text = `log-level none\n${oneNode}log-level debug\nraft-state\nraft-state\n----\n${"1: StateFollower (Voter) Term:0 Lead:0\n".repeat(2)}`;
  const score = scoreTranscript(text.replace("INFO said in other words", "ok"));

  expect(score.difference).toBeUndefined();
  expect(score.tallies.strict).toEqual({ passed: 2, total: 2 });
});
