/** The state's two threads on a disk that is full. */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { emptyConfState } from "../../src/raft/message.ts";
import { StateStore } from "../../src/store/state-store.ts";
import { tempDir } from "../support/temp-dir.ts";

const key = "k".repeat(500_000);

function mountSmall(path: string): boolean {
  mkdirSync(path);
  return spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", path]).status === 0;
}

function unmount(path: string): void {
  spawnSync("umount", ["-l", path]);
}

const probe = tempDir();
const canMount = process.platform === "linux" && mountSmall(join(probe.path, "probe"));
if (canMount) unmount(join(probe.path, "probe"));
else process.stderr.write("a full disk is not tested here: it needs the right to mount a tmpfs\n");
probe[Symbol.dispose]();

function fill(path: string): void {
  try {
    writeFileSync(path, new Uint8Array(8 * 1024 * 1024));
  } catch (error) {
    expect(error).toMatchObject({ code: "ENOSPC" });
  }
}

test.if(canMount)(
  "a full disk keeps no state from being closed, and what was stored is there after it",
  async () => {
    using parent = tempDir();
    const disk = join(parent.path, "disk");
    mountSmall(disk);
    try {
      const path = join(disk, "state.db");
      const ballast = join(disk, "ballast");
      const notes: string[] = [];
      const options = { cachedJobsMax: 10, onNote: (note: string) => notes.push(note) };
      const store = await StateStore.open(path, options);
      store.state.putUnique("mail", key, { seq: 7, untilMs: 0 });
      await store.checkpoint({ index: 41, conf: emptyConfState });
      // There is no room for it in the file beside the write-ahead log.
      fill(ballast);

      await store.close();
      rmSync(ballast);
      const again = await StateStore.open(path, options);

      expect(again.stored.index).toBe(41);
      expect(again.state.getUnique("mail", key)).toEqual({ seq: 7, untilMs: 0 });
      expect(notes).toEqual([]);
      await again.close();
    } finally {
      unmount(disk);
    }
  },
);
