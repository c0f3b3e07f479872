import { expect, test } from "bun:test";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newestFeatureLevel } from "../../src/engine/feature-levels.ts";
import { type DataDirError, openDataDir } from "../../src/store/data-dir.ts";
import { openLog } from "../../src/store/worker-log.ts";
import { TempDir } from "../support/log.ts";

const holder = join(import.meta.dir, "../support/hold-data-dir.ts");

function problemOf(dir: string): DataDirError {
  try {
    openDataDir(dir).close();
  } catch (error) {
    return error as DataDirError;
  }
  throw new Error("the directory opened");
}

test("[G41] a new directory is private, with an identity that stays", () => {
  using parent = new TempDir();
  const path = join(parent.path, "a", "b");

  const first = openDataDir(path);
  first.close();
  const second = openDataDir(path);
  second.close();

  expect(statSync(path).mode & 0o777).toBe(0o700);
  expect(first.storeId).toMatch(/^[0-9a-f-]{36}$/);
  expect(second.storeId).toBe(first.storeId);
});

test("a directory that cannot be made says which, and why", () => {
  using dir = new TempDir();
  const file = join(dir.path, "file");
  writeFileSync(file, "");

  for (const path of [file, join(file, "below")]) {
    const error = problemOf(path);

    expect(error.problem).toBe("unreadable");
    expect(error.message).toContain(`The data directory ${path} cannot be used: E`);
  }
});

test("[G42] a second owner in the same process is refused with the number of the holder", () => {
  using dir = new TempDir();
  const held = openDataDir(dir.path);

  const error = problemOf(dir.path);

  expect(error.problem).toBe("locked");
  expect(error.message).toContain(`process ${process.pid}`);
  held.close();
  openDataDir(dir.path).close();
});

test("[G42] another process is refused, and kill -9 frees the directory", async () => {
  using dir = new TempDir();
  const other = Bun.spawn([process.execPath, holder, dir.path], { stdout: "pipe" });
  const reader = other.stdout.getReader();
  await reader.read();

  const error = problemOf(dir.path);
  other.kill("SIGKILL");
  await other.exited;
  const opened = openDataDir(dir.path);

  expect(error.problem).toBe("locked");
  expect(error.message).toContain(`process ${other.pid}`);
  opened.close();
});

test("[G43] a newer format is refused with both versions and what to do", () => {
  using dir = new TempDir();
  writeFileSync(join(dir.path, "store.json"), '{"format":7,"shape":"unknown to us"}');

  const error = problemOf(dir.path);

  expect(error.problem).toBe("too_new");
  expect(error.message).toContain(`format 7, this program reads up to ${newestFeatureLevel}`);
  expect(error.message).toContain("newer program");

  writeFileSync(join(dir.path, "store.json"), '{"format":7,"version":"3.1.4"}');
  expect(problemOf(dir.path).message).toContain("Start corvo 3.1.4 or later");
});

test("[F6] a directory whose format was raised keeps it, and stays the same store", () => {
  using dir = new TempDir();
  const first = openDataDir(dir.path);
  first.raiseFormat(newestFeatureLevel);
  first.raiseFormat(1);
  first.close();

  const again = openDataDir(dir.path);
  again.close();

  expect(again.storeId).toBe(first.storeId);
  const kept = JSON.parse(readFileSync(join(dir.path, "store.json"), "utf8"));
  expect(kept).toMatchObject({ format: newestFeatureLevel, storeId: first.storeId });
});

test("[G44] an identity that is broken, or missing beside a log, is refused", async () => {
  using dir = new TempDir();
  const opened = openDataDir(dir.path);
  await (await openLog(dir.path, { storeId: opened.storeId, reserveBytes: 0 })).close();
  opened.close();
  const file = join(dir.path, "store.json");
  const text = readFileSync(file, "utf8");

  for (const broken of [
    "",
    "{",
    '{"format":"x"}',
    text.slice(0, 30),
    '{"format":1,"storeId":"no"}',
  ]) {
    writeFileSync(file, broken);
    expect(problemOf(dir.path).problem).toBe("unreadable");
  }
  rmSync(file);
  expect(problemOf(dir.path).message).toContain("is missing, but there is a log");
});

test("[G45] a start that was interrupted while it made the directory is finished by the next one", async () => {
  using dir = new TempDir();
  writeFileSync(join(dir.path, "store.json.new"), "{");
  writeFileSync(join(dir.path, "log.db.new"), "half");
  writeFileSync(join(dir.path, "log.superblock.new"), "half");
  mkdirSync(join(dir.path, "lost+found"));

  const opened = openDataDir(dir.path);
  const log = await openLog(dir.path, { storeId: opened.storeId, reserveBytes: 0 });

  expect(log.bounds(0).last).toBe(0);
  await log.close();
  opened.close();
});
