import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Glob } from "bun";
import { scoreTranscript } from "./transcripts/score.ts";

const root = join(import.meta.dir, "scenarios");
const files = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".txt"))
  .sort();

function read(name: string): string {
  return readFileSync(join(root, name), "utf8");
}

function rulesIn(text: string): string[] {
  return [...text.matchAll(/\[(R[A-Z]\d+)\]/g)].map((match) => match[1] ?? "");
}

for (const name of files) {
  test(`the story in ${name} goes as written`, () => {
    const score = scoreTranscript(read(name));

    expect(score.difference).toBeUndefined();
    expect(score.unsupported).toBe(0);
  });
}

test("every story is about a rule of the consensus page, and every rule has a story or a test", () => {
  const page = readFileSync(join(import.meta.dir, "../../docs/spec/consensus.md"), "utf8");
  const stated = new Set([...page.matchAll(/^\*\*\[(R[A-Z]\d+)\]\*\*/gm)].map((match) => match[1]));
  const tests = [...new Glob("{raft,sim}/*.test.ts").scanSync(join(import.meta.dir, ".."))];
  const cited = new Set(
    tests.flatMap((name) => rulesIn(readFileSync(join(import.meta.dir, "..", name), "utf8"))),
  );
  for (const name of files) {
    const rules = rulesIn(read(name));
    for (const rule of rules) cited.add(rule);
    expect([name, rules.length > 0]).toEqual([name, true]);
  }

  expect([...cited].filter((rule) => !stated.has(rule))).toEqual([]);
  expect([...stated].filter((rule) => rule !== undefined && !cited.has(rule))).toEqual([]);
});
