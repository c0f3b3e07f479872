/** CPU time and memory. What comes from /proc is undefined on systems without it. */
import { readdirSync, readFileSync } from "node:fs";
import { cpus } from "node:os";

export interface ProcessMicros {
  readonly all: number;
  /** Of the first thread, which in this program runs the event loop. */
  readonly main: number;
}

/** CPU time that the threads of a process have used, in microseconds. */
export function cpuMicros(pid: number): ProcessMicros | undefined {
  try {
    let all = 0;
    let main = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const stat = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1");
      const micros = Number(stat.split(" ", 1)[0]) / 1000;
      all += micros;
      if (thread === String(pid)) main = micros;
    }
    return { all, main };
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
