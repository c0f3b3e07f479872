import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import type { AppendWork, Log } from "../../src/base/log.ts";
import { openDataDir } from "../../src/store/data-dir.ts";
import { append, entriesFrom, openTestLog, TempDir } from "../support/log.ts";

const child = join(import.meta.dir, "../support/append-forever.ts");

/** Runs the appending child until `isEnough` says so of an acknowledged line, kills it, and returns the lines. */
async function runChild(
  dir: string,
  environment: Record<string, string>,
  isEnough: (line: string, lineCount: number) => boolean,
): Promise<string[]> {
  const running = Bun.spawn([process.execPath, child, dir], {
    stdout: "pipe",
    stderr: "inherit",
    env: { ...process.env, ...environment },
  });
  const lines: string[] = [];
  let rest = "";
  for await (const chunk of running.stdout) {
    const parts = (rest + new TextDecoder().decode(chunk)).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
    if (lines.some((line, i) => isEnough(line, i + 1))) running.kill("SIGKILL");
  }
  await running.exited;
  return lines;
}

test("[G29] after kill -9 at any moment every acknowledged entry is there, round after round", async () => {
  using dir = new TempDir();
  let isGrowing = 0;

  for (const ackCount of [1, 40, 333, 90, 517, 7]) {
    const lines = await runChild(dir.path, {}, (_, count) => count >= ackCount);
    const acked = Number(lines.at(-1));
    const log = await openTestLog(dir);
    const { first, last, hardState } = log.bounds(0);

    expect(last).toBeGreaterThanOrEqual(acked);
    expect(acked).toBeGreaterThan(isGrowing);
    expect(hardState.vote).toBe("me");
    for (let index = first; index <= last; ) {
      for (const entry of log.read(0, index, 100_000)) {
        expect(entry.index).toBe(index);
        expect(
          new TextDecoder()
            .decode(entry.data)
            .startsWith(`entry ${index} of`.slice(0, entry.data.length)),
        ).toBe(true);
        index++;
      }
    }
    isGrowing = acked;
    await log.close();
  }
}, 30_000);

/** Makes the fsync number FAIL_AFTER of a file whose name ends in FAIL_NAME fail once, as a broken disk would. */
const shimSource = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int count = 0;
static int fails(int fd) {
  char link[64], path[4096];
  const char *name = getenv("FAIL_NAME");
  if (!name) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  size_t tail = strlen(name);
  if ((size_t)length < tail || strcmp(path + length - tail, name)) return 0;
  return ++count == atoi(getenv("FAIL_AFTER"));
}
int fsync(int fd) {
  static int (*next)(int);
  if (!next) next = dlsym(RTLD_NEXT, "fsync");
  if (fails(fd)) { errno = EIO; return -1; }
  return next(fd);
}
int fdatasync(int fd) {
  static int (*next)(int);
  if (!next) next = dlsym(RTLD_NEXT, "fdatasync");
  if (fails(fd)) { errno = EIO; return -1; }
  return next(fd);
}
`;

const hasCompiler = process.platform === "linux" && Bun.which("cc") !== null;
if (!hasCompiler)
  process.stderr.write("[G30] is not tested here: it needs Linux and a C compiler (cc)\n");

test.if(hasCompiler)(
  "[G30] a failed fsync ends the log for good and loses nothing acknowledged",
  async () => {
    using tools = new TempDir();
    const shim = join(tools.path, "shim.so");
    const compiled = spawnSync("cc", ["-shared", "-fPIC", "-o", shim, "-x", "c", "-"], {
      input: shimSource,
    });
    expect(compiled.stderr.toString()).toBe("");

    for (const [name, failAfter] of [
      ["log.db-wal", 9],
      ["log.superblock", 2],
      ["log.db", 2],
    ] as const) {
      using dir = new TempDir();
      const environment = { LD_PRELOAD: shim, FAIL_NAME: name, FAIL_AFTER: String(failAfter) };
      const lines = await runChild(dir.path, environment, () => false);
      const acked = Number(lines.at(-3) ?? 0);
      const log = await openTestLog(dir);

      expect([name, ...lines.slice(-2)]).toEqual([name, "fault io", "closed"]);
      expect(log.bounds(0).last).toBeGreaterThanOrEqual(acked);
      expect(acked).toBeGreaterThan(0);
      await log.close();
    }
  },
  30_000,
);

const mountPoint = new TempDir();
const canMount =
  process.platform === "linux" &&
  spawnSync("mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", mountPoint.path]).status === 0;
if (canMount) spawnSync("umount", ["-l", mountPoint.path]);
else process.stderr.write("[G31] is not tested here: it needs the right to mount a tmpfs\n");
mountPoint[Symbol.dispose]();

test.if(canMount)(
  "[G31] a full disk makes the log read-only, loses nothing, and ends without a restart",
  async () => {
    using parent = new TempDir();
    spawnSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", parent.path]);
    try {
      await fillAndRecover(parent);
      expect(spawnSync("umount", [parent.path]).stderr.toString()).toBe("");
    } finally {
      spawnSync("umount", ["-l", parent.path]);
    }
  },
  20_000,
);

const full = { kind: "disk_full" };

/** Appends until the disk is full; returns the last index that was acknowledged. */
async function fill(log: Log): Promise<number> {
  let { last } = log.bounds(0);
  for (;;) {
    const fault = await append(log, oneEntry(last + 1));
    if (fault === undefined) last++;
    else {
      expect(fault).toMatchObject(full);
      return last;
    }
  }
}

function oneEntry(index: number): AppendWork {
  return { group: 0, entries: entriesFrom(index, 1, { bytes: 50_000 }) };
}

async function fillAndRecover(dir: TempDir): Promise<void> {
  const firstOwner = openDataDir(dir.path);
  const { storeId } = firstOwner;
  firstOwner.close();
  const options = { storeId, reserveBytes: 1024 * 1024, checkpointBytes: 512 * 1024, recoverMs: 0 };
  const log = await openTestLog(dir, options);
  const ballast = join(dir.path, "ballast");
  const reserve = join(dir.path, "reserve");
  await Bun.write(ballast, new Uint8Array(1024 * 1024));

  const last = await fill(log);

  expect(log.readOnly).toBe(true);
  expect(existsSync(reserve)).toBe(false);
  expect(log.bounds(0).last).toBe(last);
  expect(log.read(0, last, 1)).toEqual([...oneEntry(last).entries]);
  expect(await append(log, oneEntry(last + 1))).toEqual({
    kind: "disk_full",
    message: "the disk is still full; free at least 2 MiB on the disk of the data directory",
  });

  // Space outside: another program deletes its file.
  rmSync(ballast);
  expect(await append(log, oneEntry(last + 1))).toBeUndefined();
  expect(log.readOnly).toBe(false);
  expect(existsSync(reserve)).toBe(true);

  // Space inside: compaction frees pages of the database.
  const lastAgain = await fill(log);
  log.compact(0, lastAgain - 1);
  while ((await append(log, oneEntry(lastAgain + 1))) !== undefined);
  expect(log.readOnly).toBe(false);

  // A restart with nothing free must work too, and find everything.
  const lastOfAll = await fill(log);
  await log.close();
  const { bavail, bsize } = statfsSync(dir.path);
  await Bun.write(ballast, new Uint8Array(Math.max(0, bavail * bsize)));
  const secondOwner = openDataDir(dir.path);
  const reopened = await openTestLog(dir, options);
  expect(reopened.readOnly).toBe(true);
  expect(reopened.bounds(0).last).toBe(lastOfAll);
  await reopened.close();
  secondOwner.close();
}
