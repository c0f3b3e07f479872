/** The bugs that `npm run mutations` puts back are still bugs of this program: what each one replaces is there. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { knownBugs } from "./known-bugs.ts";

test("what a known bug replaces is in its file, and is replaced by something else", () => {
  const root = join(import.meta.dir, "../..");
  const stale = knownBugs.filter(({ file, from, to }) => {
    return from === to || !readFileSync(join(root, file), "utf8").includes(from);
  });
  expect(stale.map(({ says }) => says)).toEqual([]);
});
