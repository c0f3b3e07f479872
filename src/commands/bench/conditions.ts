/** The conditions of a measurement, which are printed with every figure: a number without them says nothing. */
import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { cpus, loadavg, platform } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../base/ports.ts";
import { buildCommit, buildVersion } from "../_shared/build.ts";
import { UsageError } from "../_shared/exit.ts";
import { quantilesOf } from "./samples.ts";

export interface Host {
  readonly cores: number;
  readonly cpu: string;
  readonly os: string;
  readonly bun: string;
  readonly version: string;
  readonly commit: string;
  /** Mean number of running processes in the last minute, before the bench began. */
  readonly load: number;
}

export interface Disk {
  readonly folder: string;
  readonly fsyncMicrosP50: number;
  readonly fsyncMicrosP99: number;
  /** The folder is in memory, so fsync costs nothing and proves nothing. */
  readonly isMemory: boolean;
}

const probe = { bytes: 8192, count: 200, msMax: 2000 } as const;
/** TMPFS_MAGIC and RAMFS_MAGIC of statfs(2). */
const memoryTypes: readonly number[] = [0x01021994, 0x858458f6];

export function describeHost(): Host {
  const all = cpus();
  return {
    cores: all.length,
    cpu: (all[0]?.model ?? "unknown").trim(),
    os: platform(),
    bun: Bun.version,
    version: buildVersion,
    commit: buildCommit,
    load: loadavg()[0] ?? 0,
  };
}

function openProbe(path: string, folder: string): number {
  try {
    return openSync(path, "w");
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UsageError(
      `the folder ${folder} cannot be used: ${reason}`,
      "--dir names one that is there and may be written to.",
    );
  }
}

/** Appends 8 KiB and syncs, over and over: what one durable step costs here at least. */
export function probeDisk(folder: string, clock: Clock): Disk {
  const path = join(folder, `corvo-bench-fsync-${process.pid}`);
  const block = Buffer.alloc(probe.bytes, 1);
  const micros: number[] = [];
  const fd = openProbe(path, folder);
  try {
    const endMs = clock.monotonicMs() + probe.msMax;
    while (micros.length < probe.count && clock.monotonicMs() < endMs) {
      const startMs = clock.monotonicMs();
      writeSync(fd, block);
      fdatasyncSync(fd);
      micros.push((clock.monotonicMs() - startMs) * 1000);
    }
  } finally {
    closeSync(fd);
    rmSync(path, { force: true });
  }
  const { p50, p99 } = quantilesOf(micros);
  return {
    folder,
    fsyncMicrosP50: Math.round(p50),
    fsyncMicrosP99: Math.round(p99),
    isMemory: memoryTypes.includes(statfsSync(folder).type),
  };
}
