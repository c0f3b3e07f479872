/** Where a backup goes: it has its name when it is whole, and what stops it is said as the person's matter that it is. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../../src/commands/_shared/exit.ts";
import { systemClock } from "../../src/commands/_shared/system.ts";
import { BackupTarget } from "../../src/commands/server/backup-file.ts";
import { restoreWhole } from "../../src/commands/server/restore.ts";
import { corvo } from "../support/fake-system.ts";
import { memoryLogger } from "../support/system-ports.ts";
import { tempDir } from "../support/temp-dir.ts";

test("a file that cannot be made is refused with its name", () => {
  using dir = tempDir();
  const path = join(dir.path, "missing", "all.backup");

  expect(() => new BackupTarget(path, false)).toThrow(UsageError);
  expect(() => new BackupTarget(path, false)).toThrow(`cannot write ${path}`);
});

test("a backup that cannot take its name says why, and leaves nothing", () => {
  using dir = tempDir();
  const path = join(dir.path, "all.backup");
  const target = new BackupTarget(path, true);
  target.write(new Uint8Array([1]));
  mkdirSync(join(path, "inside"), { recursive: true });

  expect(() => target.finish()).toThrow(`cannot write ${path}`);
  target.abandon();

  expect(readdirSync(dir.path)).toEqual(["all.backup"]);
});

test("what is no ordinary file is not replaced, whatever was said", () => {
  using dir = tempDir();
  const pipe = join(dir.path, "pipe");
  Bun.spawnSync(["mkfifo", pipe]);

  for (const path of [dir.path, pipe, "/dev/null"]) {
    expect(() => new BackupTarget(path, true)).toThrow(`${path} is no ordinary file`);
  }
  expect(readdirSync(dir.path)).toEqual(["pipe"]);
});

test("a file that exists is replaced only when that was said", () => {
  using dir = tempDir();
  const path = join(dir.path, "all.backup");
  writeFileSync(path, "older");

  expect(() => new BackupTarget(path, false)).toThrow(`${path} exists already`);
  const target = new BackupTarget(path, true);
  target.finish();

  expect(readFileSync(path)).toHaveLength(0);
});

test("verify without a file is no backup of that name", async () => {
  const { code, stderr } = await corvo(["backup", "verify"]);

  expect(code).toBe(2);
  expect(stderr).toContain("the file to verify is missing");
});

test("a data directory that is a file is the person's matter", async () => {
  using dir = tempDir();
  const path = join(dir.path, "file");
  writeFileSync(path, "");
  const manifest = { version: "0.6.0", featureLevel: 1, clusterId: "c", createdAtMs: 1, shards: 1 };
  async function* parts() {}
  const env = { clock: systemClock, logger: memoryLogger(), onProgress: () => {} };

  const refused = restoreWhole({ manifest, parts: parts() }, path, env);

  await expect(refused).rejects.toMatchObject({
    code: "CONFLICT",
    message: expect.stringContaining(`${path} cannot be used`),
  });
});

test("a backup that has its name is not abandoned any more", () => {
  using dir = tempDir();
  const path = join(dir.path, "all.backup");
  const target = new BackupTarget(path, false);
  target.write(new Uint8Array([1, 2]));
  target.finish();

  target.abandon();

  expect(readdirSync(dir.path)).toEqual(["all.backup"]);
  expect([...readFileSync(path)]).toEqual([1, 2]);
});
