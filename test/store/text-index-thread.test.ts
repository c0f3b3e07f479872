/** The thread that keeps the index of texts, as the main thread has it. */
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { TextIndex } from "../../src/store/text-index.ts";
import { StateRig } from "../support/state-rig.ts";
import { tempDir } from "../support/temp-dir.ts";

test("an index that cannot be opened is tried again as the state advances, without another start of the server", async () => {
  using dir = tempDir();
  const statePath = join(dir.path, "state.db");
  const rig = new StateRig(statePath, 0);
  rig.checkpoint(1);
  const folder = join(dir.path, "texts");
  const failed = Promise.withResolvers<string>();
  const opened = Promise.withResolvers<void>();
  const index = new TextIndex({
    path: join(folder, "text.db"),
    statePath,
    onTakenIn: () => opened.resolve(),
    onNote: (note) => failed.resolve(note),
  });

  expect(await failed.promise).toContain("unable to open database file");
  mkdirSync(folder);
  for (let checkpoint = 0; checkpoint < 10; checkpoint++) index.advanced(1);
  await opened.promise;

  expect(index.throughSeq).toBe(0);
  await index.close();
  rig.close();
});
