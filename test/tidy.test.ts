/**
 * The law of the house, run over the whole tree. Each rule is also shown a small bad example, so that a rule that no longer
 * sees anything fails too.
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import packageJson from "../package.json" with { type: "json" };
import { commandLines, parseLine } from "./support/command-lines.ts";
import {
  bannedText,
  forbiddenImports,
  importCycles,
  importsOf,
  type Source,
  shapeOfFiles,
  unreachableFiles,
} from "./support/tidy.ts";
import {
  brokenLinks,
  ruleIds,
  shellLines,
  unknownCitations,
  unknownScripts,
  untestedRules,
} from "./support/tidy-docs.ts";

const root = new URL("../", import.meta.url).pathname;

function read(pattern: string): readonly Source[] {
  const paths = [...new Bun.Glob(pattern).scanSync({ cwd: root, dot: false })].sort();
  return paths
    .filter((path) => !path.startsWith("node_modules/") && !path.startsWith("dist/"))
    .map((path) => ({ path, text: readFileSync(root + path, "utf8") }));
}

const product = read("src/**/*.ts");
const tests = read("test/**/*.ts");
/** The examples below cite rules that do not exist. */
const citing = tests.filter(({ path }) => path !== "test/tidy.test.ts");
const code = [...product, ...tests, ...read("scripts/**/*.ts")];
const pages = [...read("*.md"), ...read("docs/**/*.md")];
const specs = pages.filter(({ path }) => path.startsWith("docs/spec/"));

const bad = (path: string, text: string): Source => ({ path, text });

/**
 * Entry points of the program, the client as a library, and the twins and checkers that tests compare with.
 */
function isRoot(path: string): boolean {
  return (
    path === "src/main.ts" ||
    path === "src/sdk/index.ts" ||
    /^src\/(?:(?:engine|raft)\/invariants|raft\/memory-log)\.ts$/.test(path) ||
    /^src\/store\/.*-worker\.ts$/.test(path)
  );
}

test("folders import only what stands below them", () => {
  expect(forbiddenImports(product)).toEqual([]);
});

test("an import that the allow-list does not have is reported", () => {
  const found = forbiddenImports([
    bad("src/engine/a.ts", 'import { openLog } from "../store/worker-log.ts";'),
    bad("src/engine/b.ts", 'import { readFileSync } from "node:fs";'),
    bad("src/net/c.ts", 'import type { Replica } from "../replica/replica.ts";'),
    bad("src/commands/d.ts", 'const { Replica } = await import("../replica/replica.ts");'),
    bad("src/oddments/e.ts", 'export { assert } from "../base/assert.ts";'),
    bad("src/commands/server/f.ts", 'import { Replica } from "../../replica/replica.ts";'),
  ]);

  expect(found).toEqual([
    "src/engine/a.ts -> ../store/worker-log.ts: src/engine may not import this",
    "src/engine/b.ts -> node:fs: src/engine may not import this",
    "src/net/c.ts -> ../replica/replica.ts: src/net may not import this",
    "src/commands/d.ts -> ../replica/replica.ts: src/commands may not import this",
    "src/oddments/e.ts -> ../base/assert.ts: src/oddments may not import this",
  ]);
});

test("every form of import is seen", () => {
  const source = bad(
    "src/base/a.ts",
    [
      'import "./effect.ts";',
      'import type { A } from "./type.ts";',
      "import {\n  b,\n  c,\n} from './not-double-quoted.ts';",
      'import {\n  d,\n} from "./lines.ts";',
      'export { e } from "./again.ts";',
      'const f = await import("./lazy.ts");',
      '// import { no } from "./comment.ts";',
    ].join("\n"),
  );

  expect(importsOf(source).map(({ target }) => target)).toEqual([
    "src/base/effect.ts",
    "src/base/type.ts",
    "src/base/lines.ts",
    "src/base/again.ts",
    "src/base/lazy.ts",
  ]);
});

test("no files import each other in a ring", () => {
  expect(importCycles(product)).toEqual([]);
});

test("a ring of imports is reported once", () => {
  const found = importCycles([
    bad("src/base/a.ts", 'import "./b.ts";'),
    bad("src/base/b.ts", 'import "./c.ts";'),
    bad("src/base/c.ts", 'import "./a.ts";'),
  ]);

  expect(found).toEqual([
    "src/base/a.ts -> src/base/b.ts -> src/base/c.ts -> src/base/a.ts: a cycle; move what both need down",
  ]);
});

test("the program loads every file of src", () => {
  expect(unreachableFiles(product, isRoot)).toEqual([]);
});

test("a file that only its test imports is reported", () => {
  const found = unreachableFiles(
    [
      bad("src/main.ts", 'import "./a.ts";'),
      bad("src/a.ts", ""),
      bad("src/b.ts", 'import "./c.ts";'),
      bad("src/c.ts", ""),
    ],
    isRoot,
  );

  expect(found.map((finding) => finding.split(":")[0])).toEqual(["src/b.ts", "src/c.ts"]);
});

test("nothing banned is used", () => {
  expect(bannedText(code)).toEqual([]);
});

test.each([
  ["src/replica/a.ts", "const x = Math.random();"],
  ["src/replica/a.ts", "const now = Date.now();"],
  ["src/net/a.ts", "const now = new Date();"],
  ["src/net/a.ts", "setTimeout(() => stop(), 10);"],
  ["src/net/a.ts", "console.error(problem);"],
  ["test/a.test.ts", "console.log(problem);"],
  ["src/commands/a.ts", 'const home = process.env["HOME"];'],
  ["src/base/a.ts", `// ${"TO"}${"DO"} later`],
  ["src/base/a.ts", "const x = value as any;"],
  ["src/base/a.ts", "function f(x: any) {}"],
  ["test/a.ts", "const x = map.get(1)!.name;"],
  ["test/a.ts", "const x = list[0]!;"],
  ["src/base/a.ts", `// @ts-${"ignore"}`],
  ["test/a.test.ts", `test.${"skip"}("later", () => {});`],
  ["src/base/a.ts", "enum Color { Red }"],
])("%s with `%s` is reported", (path, text) => {
  expect(bannedText([bad(path, text)])).toHaveLength(1);
});

test.each([
  ["src/commands/_shared/system.ts", "nowMs: () => Date.now(),"],
  ["scripts/a.ts", "console.log(text);"],
  ["src/base/a.ts", "if (value !== other && !isNull) stop();"],
  ["src/base/a.ts", 'const text = "Date.now() is not used";'],
  ["src/base/a.ts", "return many.any(one);"],
])("%s with `%s` is fine", (path, text) => {
  expect(bannedText([bad(path, text)])).toEqual([]);
});

test("files have a size, a header and a name", () => {
  expect(shapeOfFiles(code)).toEqual([]);
});

test("a file too long, without header, or with an empty name is reported", () => {
  const found = shapeOfFiles([
    bad("test/long.ts", "\n".repeat(501)),
    bad("src/base/bare.ts", `import { a } from "./a.ts";\n${"a();\n".repeat(90)}`),
    bad(
      "src/base/described.ts",
      `import { a } from "./a.ts";\n\n/** Why. */\n${"a();\n".repeat(90)}`,
    ),
    bad("src/base/string-utils.ts", ""),
  ]);

  expect(found.map((finding) => finding.split(":")[0])).toEqual([
    "test/long.ts",
    "src/base/bare.ts",
    "src/base/string-utils.ts",
  ]);
});

test("tests cite only rules that a page of docs/spec states", () => {
  expect(ruleIds(specs).size).toBeGreaterThan(50);
  expect(unknownCitations(specs, citing)).toEqual([]);
});

test("rules without a test are named", () => {
  const untested = untestedRules(specs, citing);
  if (untested.length > 0) process.stderr.write(`rules without a test: ${untested.join(" ")}\n`);

  expect(untested.length).toBeLessThan(ruleIds(specs).size / 2);
});

test("a citation of no rule, and a rule without a test, are found", () => {
  const page = bad("docs/spec/a.md", "**[J1] One.** Text.\n- **[J2]** Text.");
  const test = bad("test/a.test.ts", 'test("[J1] [J9] a sentence", () => {});');

  expect(unknownCitations([page], [test])).toEqual([
    "test/a.test.ts: cites [J9], which no page of docs/spec states",
  ]);
  expect(untestedRules([page], [test])).toEqual(["J2"]);
});

test("links between pages lead somewhere", () => {
  expect(brokenLinks(pages, (path) => existsSync(root + path))).toEqual([]);
});

test("a link to nowhere is reported", () => {
  const page = bad("docs/a.md", "[x](b.md#part) [y](https://example.com) `[z](c.md)` [w](../d.md)");

  expect(brokenLinks([page], (path) => path === "docs/b.md")).toEqual([
    "docs/a.md: the link to ../d.md leads nowhere",
  ]);
});

test("the scripts that pages name exist", () => {
  expect(unknownScripts(pages, new Set(Object.keys(packageJson.scripts)))).toEqual([]);
  expect(unknownScripts([bad("a.md", "`npm run nothing`")], new Set(["demo"]))).toEqual([
    "a.md: `npm run nothing` is no script of package.json",
  ]);
});

const shown = pages
  .filter(({ path }) => !path.startsWith("docs/decisions/"))
  .flatMap((page) =>
    shellLines(page)
      .flatMap(commandLines)
      .map((words) => [page.path, words.join(" "), words] as const),
  );

test.each([...shown])("%s: `corvo %s` is understood", async (_page, _line, words) => {
  await parseLine(words);
});
