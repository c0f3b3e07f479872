/**
 * What commands say about themselves: help, examples, completions, aliases.
 * Golden texts are written anew by `CORVO_UPDATE_GOLDEN=1 bun test test/commands`.
 */
import { expect, test } from "bun:test";
import { cliReference } from "../../scripts/generate-cli-reference.ts";
import { operations } from "../../src/api/operations.ts";
import { Filter } from "../../src/api/search.ts";
import {
  completionFiles,
  completionScript,
  shells,
} from "../../src/commands/_shared/completions.ts";
import { describeTree, loadAll } from "../../src/commands/_shared/describe.ts";
import { globalArgs } from "../../src/commands/_shared/globals.ts";
import { commandsBelow, type Entry, isGroup, locate } from "../../src/commands/_shared/table.ts";
import { aliases, commands } from "../../src/commands/index.ts";
import { commandLines, parseLine } from "../support/command-lines.ts";
import { corvo } from "../support/fake-system.ts";

const updating = process.env["CORVO_UPDATE_GOLDEN"] === "1";

async function expectGolden(url: URL, text: string): Promise<void> {
  if (updating) await Bun.write(url, text);
  expect(text).toBe(await Bun.file(url).text());
}

function pathsOf(parent: Entry, path: readonly string[] = []): readonly (readonly string[])[] {
  const below = Object.entries(commandsBelow(parent)).flatMap(([name, entry]) =>
    pathsOf(entry, [...path, name]),
  );
  return [path, ...below];
}

const loaded = await loadAll(commands);

test("the reference page holds the help of every command, as the program prints it", async () => {
  const page = await cliReference();
  await expectGolden(new URL("../../docs/reference/cli.md", import.meta.url), page);
  for (const path of pathsOf(commands)) {
    const { code, stdout, stderr } = await corvo([...path, "--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(page).toContain(`## ${["corvo", ...path].join(" ")}\n\n\`\`\`text\n${stdout}`);
  }
});

test("completion scripts in the tree are those of the commands", async () => {
  const tree = describeTree(commands, loaded);
  for (const shell of shells) {
    const script = completionScript(shell, tree);
    const url = new URL(`../../completions/${completionFiles[shell]}`, import.meta.url);
    await expectGolden(url, script);
    expect((await corvo(["completion", shell])).stdout).toBe(script);
  }
});

const examples = loaded.flatMap((one) => one.spec.examples.map((example) => example.line));

test.each([...examples, ...(commands.examples ?? []).map((example) => example.line)])(
  "the example `%s` is understood",
  async (example) => {
    const lines = commandLines(example);

    expect(lines.length).toBeGreaterThan(0);
    for (const argv of lines) {
      await parseLine(argv);
    }
  },
);

test("every command has examples, and every alias leads to a command", () => {
  for (const { path, spec } of loaded) {
    expect({ path, examples: spec.examples.length > 0 }).toEqual({ path, examples: true });
  }
  for (const alias of Object.keys(aliases)) {
    expect(isGroup(locate([alias], commands, aliases, globalArgs).entry)).toBe(false);
  }
});

test("every option of a job and every filter is a flag", () => {
  const kebab = (names: readonly string[]) => names.map((name) => name.replaceAll("_", "-"));
  const argsOf = (path: string) =>
    Object.keys(loaded.find((one) => one.path.join(" ") === path)?.spec.args ?? {});

  expect(argsOf("enqueue")).toContainValues(
    kebab(Object.keys(operations.enqueueJob.body.properties)),
  );
  // The filter as text stands for itself.
  const { q: _, ...members } = Filter.properties;
  expect(argsOf("jobs list")).toContainValues(["filter", ...kebab(Object.keys(members))]);
});

test("no command takes a flag that hides a global one", () => {
  for (const { spec } of loaded) {
    for (const name of Object.keys(spec.args)) expect(Object.keys(globalArgs)).not.toContain(name);
  }
});
