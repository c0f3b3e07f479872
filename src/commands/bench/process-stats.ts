/** CPU time and memory. What comes from /proc is undefined on systems without it. */
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";

/** CPU time that all threads of a process have used, in microseconds. */
export function cpuMicros(pid: number): number | undefined {
  try {
    let nanos = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1");
      nanos += Number(stat.split(" ", 1)[0]);
    }
    return nanos / 1000;
  } catch {
    // Not Linux, not permitted, or gone: the figure is left out of the report.
    return undefined;
  }
}

/** CPU time that everything on this machine has used. */
export function machineMicros(): number {
  let ms = 0;
  for (const { times } of cpus()) ms += times.user + times.nice + times.sys + times.irq;
  return ms * 1000;
}

export interface MemoryBytes {
  readonly now: number;
  readonly peak: number;
}

export function memoryBytes(pid: number): MemoryBytes | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const field = (name: string) =>
      Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
    return { now: field("VmRSS"), peak: field("VmHWM") };
  } catch {
    return undefined;
  }
}
