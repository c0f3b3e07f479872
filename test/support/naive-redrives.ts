/** Redrives as the naive model keeps them: one per queue, the last one; its steps are what any operator could do by hand. */
import type { CancelRedrive, StartRedrive, StepRedrive } from "../../src/engine/change.ts";
import type { ModelJob } from "./naive-job.ts";

interface Host {
  readonly nowMs: () => number;
  readonly takeNumber: () => number;
  readonly find: (seq: number) => ModelJob | undefined;
  readonly hasQueue: (name: string) => boolean;
  readonly open: (name: string) => void;
  readonly isDraining: (name: string) => boolean;
  /** False when the job cannot go there. */
  readonly move: (job: ModelJob, queue: string) => boolean;
  readonly retry: (job: ModelJob) => void;
}

interface ModelRedrive {
  readonly queue: string;
  readonly id: number;
  readonly toQueue: string | undefined;
  readonly perSecond: number;
  readonly startedAtMs: number;
  state: "running" | "completed" | "cancelled";
  afterSeq: number;
  retried: number;
  skipped: number;
  nextMs: number;
  finishedAtMs: number;
}

export class NaiveRedrives {
  readonly #host: Host;
  #all: ModelRedrive[] = [];

  constructor(host: Host) {
    this.#host = host;
  }

  change(change: StartRedrive | StepRedrive | CancelRedrive): string {
    const redrive = this.#all.find(({ queue }) => queue === change.queue);
    const running = redrive?.state === "running" ? redrive : undefined;
    switch (change.kind) {
      case "startRedrive":
        return running === undefined ? this.#start(change) : this.#refused(change.queue);
      case "cancelRedrive":
        if (running === undefined) return "NOT_FOUND";
        running.state = "cancelled";
        running.finishedAtMs = this.#host.nowMs();
        return "ok";
      case "stepRedrive":
        if (running?.id === change.id && running.afterSeq === change.afterSeq) {
          this.#step(running, change);
        }
        return "ok";
    }
  }

  forgetQueue(name: string): void {
    this.#all = this.#all.filter(({ queue }) => queue !== name);
  }

  view(): unknown {
    return this.#all.toSorted((one, other) => one.id - other.id);
  }

  #refused(queue: string): string {
    return this.#host.hasQueue(queue) ? "CONFLICT" : "NOT_FOUND";
  }

  #start({ queue, toQueue, perSecond = 0 }: StartRedrive): string {
    const { nowMs, takeNumber, open, hasQueue, isDraining } = this.#host;
    if (!hasQueue(queue)) return "NOT_FOUND";
    if (toQueue !== undefined) {
      open(toQueue);
      if (isDraining(toQueue)) return "QUEUE_DRAINING";
    }
    this.forgetQueue(queue);
    this.#all.push({
      ...{ queue, id: takeNumber(), toQueue, perSecond, startedAtMs: nowMs(), state: "running" },
      ...{ afterSeq: 0, retried: 0, skipped: 0, nextMs: nowMs(), finishedAtMs: 0 },
    });
    return "ok";
  }

  #step(redrive: ModelRedrive, { seqs, isLast }: StepRedrive): void {
    for (const seq of seqs) {
      if (this.#runAgain(redrive, seq)) redrive.retried++;
      else redrive.skipped++;
    }
    const { perSecond } = redrive;
    redrive.afterSeq = seqs.at(-1) ?? redrive.afterSeq;
    redrive.nextMs = this.#host.nowMs();
    if (perSecond > 0) redrive.nextMs += Math.ceil((seqs.length * 1000) / perSecond);
    if (!isLast) return;
    redrive.state = "completed";
    redrive.finishedAtMs = this.#host.nowMs();
  }

  /** One that is not dead any more, or died again since the start, is none of those that were asked for. */
  #runAgain({ queue, toQueue, startedAtMs }: ModelRedrive, seq: number): boolean {
    const job = this.#host.find(seq);
    if (job?.state !== "dead" || job.queue !== queue || job.finishedAtMs > startedAtMs)
      return false;
    if (toQueue !== undefined && !this.#host.move(job, toQueue)) return false;
    this.#host.retry(job);
    return true;
  }
}
