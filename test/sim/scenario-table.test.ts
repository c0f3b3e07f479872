/** The page of scenarios names tests that exist, and misses no case in between. */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const testRoot = join(import.meta.dir, "..");
const page = readFileSync(join(testRoot, "../docs/operations/scenarios.md"), "utf8");

interface Row {
  readonly id: string;
  readonly heldBy: string;
}

function rowsOf(text: string): readonly Row[] {
  return [...text.matchAll(/^\| ([A-Z]\d+) \| .+? \| (.+) \|$/gm)].map((match) => ({
    id: match[1] ?? "",
    heldBy: match[2] ?? "",
  }));
}

/** What is wrong with what a row says of its tests. */
function findProblem({ heldBy }: Row): string | undefined {
  const cited = [...heldBy.matchAll(/`([\w./-]+\.(?:ts|txt))`(?: \*([^*]+)\*)?/g)];
  for (const [, path = "", title] of cited) {
    const file = join(testRoot, path);
    if (!existsSync(file)) return `${path} does not exist`;
    if (path.endsWith(".txt")) continue;
    if (title === undefined) return `${path} is named without a title`;
    if (!readFileSync(file, "utf8").includes(title)) return `${path} has no test "${title}"`;
  }
  const explains = /^(?:Cannot [a-z]+|Open): .{20}/.test(heldBy);
  return cited.length > 0 || explains ? undefined : "it names no test and no reason";
}

test("every scenario names a test that exists, or says why there is none", () => {
  const problems = rowsOf(page).flatMap((row) => {
    const problem = findProblem(row);
    return problem === undefined ? [] : [`${row.id}: ${problem}`];
  });

  expect(problems).toEqual([]);
});

test("the ids of a family are numbered without gaps", () => {
  const ids = rowsOf(page).map(({ id }) => id);
  for (const [family, members] of Map.groupBy(ids, (id) => id.slice(0, 1))) {
    expect(members).toEqual(members.map((_, i) => `${family}${i + 1}`));
  }
  expect(ids.length).toBeGreaterThan(100);
});

test.each([
  ["`sim/gone.test.ts` *a sentence*", "sim/gone.test.ts does not exist"],
  ["`sim/sim.test.ts` *a sentence*", 'sim/sim.test.ts has no test "a sentence"'],
  ["`sim/sim.test.ts`", "sim/sim.test.ts is named without a title"],
  ["nobody knows", "it names no test and no reason"],
])("a row held by %s is reported", (heldBy, problem) => {
  expect(findProblem({ id: "X1", heldBy })).toBe(problem);
});
