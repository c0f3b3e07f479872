/**
 * What was promised about keys, retries, dead letters, drains and redrives, as the entries that are applied tell. A job that
 * an operator touched, or that was run again after its end, goes by other rules for its key: their word counts more.
 */
import { isFinished, type Job } from "../../src/engine/job.ts";
import type { QueueSettings } from "../../src/engine/queue-settings.ts";
import type { Redrive } from "../../src/engine/redrive.ts";
import { changingKey, lastKey, singleKey } from "./workload-admission.ts";

export class AdmissionLedger {
  readonly #report: (problem: string) => void;
  readonly #note: (event: string) => void;
  readonly #isManaged: (seq: number) => boolean;
  /** Unfinished jobs by queue and key. */
  readonly #byKey = new Map<string, Map<number, Job>>();
  readonly #ranAgain = new Set<number>();
  readonly #draining = new Set<string>();
  readonly #redrives = new Map<string, Redrive>();
  /** Copies that dead jobs are owed. */
  readonly #owed = new Map<number, number>();
  /** Jobs whose payload may be that of a later call. */
  readonly #changing = new Set<number>();

  constructor(
    report: (problem: string) => void,
    note: (event: string) => void,
    isManaged: (seq: number) => boolean,
  ) {
    this.#report = report;
    this.#note = note;
    this.#isManaged = isManaged;
  }

  mayChange(seq: number): boolean {
    return this.#changing.has(seq);
  }

  recordChanges(kind: string, key: string, value: unknown): void {
    if (kind === "queueSettings") {
      if ((value as QueueSettings | undefined)?.draining === true) this.#draining.add(key);
      else this.#draining.delete(key);
    } else if (kind === "redrive" && value !== undefined) {
      const redrive = value as Redrive;
      const before = this.#redrives.get(key);
      if (before?.id === redrive.id && redrive.afterSeq < before.afterSeq) {
        this.#report(`redrive ${redrive.id} went back to ${redrive.afterSeq}`);
      }
      if (redrive.state === "completed") this.#note("redrivesCompleted");
      this.#redrives.set(key, redrive);
    }
  }

  jobChanges(previous: Job | undefined, next: Job): void {
    const { seq, options } = next;
    if (previous === undefined) this.#begins(next);
    else if (isFinished(previous.state) && !isFinished(next.state)) this.#ranAgain.add(seq);
    if (next.state === "dead" && previous?.state !== "dead" && options.deadQueue !== undefined) {
      this.#owe(seq, 1);
    }
    if (next.snoozes > options.snoozesMax) this.#report(`job ${seq}: ${next.snoozes} snoozes`);
    if (next.snoozes > (previous?.snoozes ?? 0)) this.#note("snoozes");
    if (next.state === "active" && previous?.state !== "active") this.#starts(next);
    if (options.uniqueKey !== undefined) this.#followKey(next, options.uniqueKey);
  }

  #begins({ seq, queue, options }: Job): void {
    if (options.deadOf !== undefined) {
      this.#note("deadCopies");
      this.#owe(options.deadOf[0], -1);
    } else if (this.#draining.has(queue)) {
      this.#report(`job ${seq} came into queue ${queue}, which is drained`);
    }
  }

  #owe(seq: number, by: number): void {
    const owed = (this.#owed.get(seq) ?? 0) + by;
    if (owed < 0) this.#report(`job ${seq} was copied more often than it died`);
    this.#owed.set(seq, owed);
  }

  #starts(job: Job): void {
    const { seq, attempt, options, startedAtMs, scheduledAtMs } = job;
    const most = Math.max(1, options.maxRetries);
    if (attempt > most && !this.#isManaged(seq))
      this.#report(`job ${seq} begins attempt ${attempt} of ${most}`);
    if (options.deadlineAtMs > 0 && startedAtMs >= options.deadlineAtMs) {
      this.#report(`job ${seq} starts at ${startedAtMs}, after its deadline`);
    }
    const isFree = this.#isManaged(seq) || this.#ranAgain.has(seq);
    if (options.debounceMs > 0 && startedAtMs < scheduledAtMs && !isFree) {
      this.#report(`job ${seq} starts at ${startedAtMs}, debounced until ${scheduledAtMs}`);
    }
  }

  #followKey(job: Job, key: string): void {
    const { seq } = job;
    if (key.startsWith(changingKey) || key.startsWith(lastKey)) this.#changing.add(seq);
    const name = `${job.queue}\n${key}`;
    const open = this.#byKey.get(name) ?? new Map<number, Job>();
    this.#byKey.set(name, open);
    if (isFinished(job.state)) open.delete(seq);
    else open.set(seq, job);
    const most = key.startsWith(singleKey) ? 1 : key.startsWith(lastKey) ? 2 : undefined;
    if (most === undefined) return;
    const own = [...open.values()].filter(
      (one) => !this.#isManaged(one.seq) && !this.#ranAgain.has(one.seq),
    );
    const running = own.filter(({ state }) => state === "active");
    if (own.length > most || running.length > 1) {
      const words = own.map((one) => `${one.seq} (${one.state})`).join(", ");
      this.#report(`key ${key} has the unfinished jobs ${words}`);
    }
  }

  /** Once nothing is left to do. */
  check(jobs: Iterable<Job>): void {
    for (const [seq, owed] of this.#owed) {
      if (owed !== 0) this.#report(`${owed} copies of the dead job ${seq} were never made`);
    }
    for (const job of jobs) {
      const redrive = this.#redrives.get(job.queue);
      if (job.state !== "dead" || redrive?.state !== "completed") continue;
      if (job.finishedAtMs < redrive.startedAtMs) {
        this.#report(`job ${job.seq} was dead before a redrive that left it out`);
      }
    }
  }
}
