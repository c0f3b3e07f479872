/** Writes `completions/`. Run it after a change of commands or flags; a test compares. */
import { mkdir } from "node:fs/promises";
import { completionFiles, completionScript, shells } from "../src/commands/_shared/completions.ts";
import { describeTree, loadAll } from "../src/commands/_shared/describe.ts";
import { commands } from "../src/commands/index.ts";

const folder = new URL("../completions/", import.meta.url);
await mkdir(folder, { recursive: true });
const tree = describeTree(commands, await loadAll(commands));
for (const shell of shells) {
  await Bun.write(new URL(completionFiles[shell], folder), completionScript(shell, tree));
}
