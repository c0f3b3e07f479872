/**
 * The machine under a node, as far as it can be broken without breaking the one that the tests run on: a wall clock that
 * jumps, disks that fail or stall on a sync, and a small disk that is full. The first two are done by a library that is
 * loaded into the process, so they need a C compiler; the last is a file system of its own, so it needs the right to mount.
 */
import { spawnSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, statfsSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";

const shimSource = join(import.meta.dir, "fault-shim.c");
const smallDiskBytes = 1024 ** 3;

/** What every machine is made of here, and why some of it may be missing. */
export interface Workshop {
  /** The library that breaks clock and syncs. */
  readonly shim: string | undefined;
  readonly canMount: boolean;
  /** One sentence for each thing that cannot be broken here. */
  readonly missing: readonly string[];
}

export function openWorkshop(directory: string): Workshop {
  const missing: string[] = [];
  const path = join(directory, "fault-shim.so");
  const compiled = run("cc", ["-shared", "-fPIC", "-O2", "-Wall", "-o", path, shimSource, "-ldl"]);
  if (compiled !== "") missing.push(`clocks and syncs cannot be broken here: ${compiled}`);
  const probe = join(directory, "probe");
  mkdirSync(probe);
  const mounted = mount(probe);
  if (mounted === "") run("umount", [probe]);
  else missing.push(`a disk cannot be filled here: ${mounted}`);
  return { shim: compiled === "" ? path : undefined, canMount: mounted === "", missing };
}

/** The sentence of a failure, or nothing. */
function run(command: string, words: readonly string[]): string {
  const { status, stderr, error } = spawnSync(command, words, { encoding: "utf8" });
  if (status === 0) return "";
  return error?.message ?? `${command} ended with ${status}: ${stderr.trim()}`;
}

function mount(path: string, options = `size=${smallDiskBytes}`): string {
  return run("mount", ["-t", "tmpfs", "-o", options, "tmpfs", path]);
}

const positions = { clockMs: 0, stallMs: 8, failing: 16 } as const;

export class Machine {
  /** For the processes that run on it. */
  readonly env: Readonly<Record<string, string>>;
  readonly hasSmallDisk: boolean;
  readonly #dataDir: string;
  readonly #control: number | undefined;
  #clockMs = 0;

  constructor(workshop: Workshop, dataDir: string, options: { readonly smallDisk: boolean }) {
    const { shim } = workshop;
    this.#dataDir = dataDir;
    this.hasSmallDisk = options.smallDisk && workshop.canMount;
    if (this.hasSmallDisk) {
      mkdirSync(dataDir, { mode: 0o700 });
      const fault = mount(dataDir);
      if (fault !== "") throw new Error(fault);
    }
    if (shim === undefined) {
      this.env = {};
      return;
    }
    const path = `${dataDir}.faults`;
    writeFileSync(path, new Uint8Array(24));
    this.#control = openSync(path, "r+");
    this.env = { LD_PRELOAD: shim, FAULT_CONTROL: path };
  }

  get isBreakable(): boolean {
    return this.#control !== undefined;
  }

  /** How far its wall clock is ahead. */
  get clockMs(): number {
    return this.#clockMs;
  }

  set clockMs(aheadMs: number) {
    this.#clockMs = aheadMs;
    this.#write("clockMs", aheadMs);
  }

  /** From now on a sync of the log takes so much longer. */
  stallSyncs(stallMs: number): void {
    this.#write("stallMs", stallMs);
  }

  /** From now on syncs of these files fail, until they are mended. */
  failSyncs(of: "log" | "state" | "none"): void {
    this.#write("failing", { none: 0, log: 1, state: 2 }[of]);
  }

  /** Leaves this much of its small disk. */
  fill(leftBytes: number): void {
    const { blocks, bfree, bsize } = statfsSync(this.#dataDir);
    // The node writes on meanwhile, and a disk cannot be made smaller than what is on it.
    for (let spare = leftBytes, tries = 0; tries < 100; spare += bsize, tries++) {
      if (this.#resize((blocks - bfree) * bsize + spare) === "") return;
    }
    throw new Error(`the disk of ${this.#dataDir} could not be filled`);
  }

  free(): void {
    const fault = this.#resize(smallDiskBytes);
    if (fault !== "") throw new Error(fault);
  }

  [Symbol.dispose](): void {
    if (this.#control !== undefined) closeSync(this.#control);
    if (this.hasSmallDisk) run("umount", ["-l", this.#dataDir]);
  }

  #resize(bytes: number): string {
    return mount(this.#dataDir, `remount,size=${bytes}`);
  }

  #write(what: keyof typeof positions, value: number): void {
    if (this.#control === undefined) throw new Error("this machine has no shim to break it by");
    const bytes = new BigInt64Array([BigInt(Math.round(value))]);
    writeSync(this.#control, bytes, 0, 8, positions[what]);
  }
}
