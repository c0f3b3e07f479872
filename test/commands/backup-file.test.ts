/** Where a backup goes: it has its name when it is whole, and what stops it is said as the person's matter that it is. */
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { UsageError } from "../../src/commands/_shared/exit.ts";
import { BackupTarget } from "../../src/commands/server/backup-file.ts";
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
  mkdirSync(join(path, "inside"), { recursive: true });
  const target = new BackupTarget(path, true);
  target.write(new Uint8Array([1]));

  expect(() => target.finish()).toThrow(`cannot write ${path}`);
  target.abandon();

  expect(readdirSync(dir.path)).toEqual(["all.backup"]);
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
