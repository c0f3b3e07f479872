/** Which limits are set and which jobs run, as the entries that are applied tell: no start may be one too many. */
import type { Job } from "../../src/engine/job.ts";
import { type LimitSetting, type LimitState, limitName } from "../../src/engine/limits/setting.ts";
import { RateLedger } from "./rate-ledger.ts";

export class LimitLedger {
  readonly #report: (problem: string) => void;
  readonly #settings = new Map<string, LimitSetting>();
  readonly #active = new Map<number, Job>();
  readonly #pausedUntilMs = new Map<string, number>();
  readonly #rates = new RateLedger();

  constructor(report: (problem: string) => void) {
    this.#report = report;
  }

  changed(kind: string, key: string, value: unknown): void {
    if (kind === "limitStates") {
      // One that is deleted is at rest, or its queue is gone.
      if (value === undefined) this.#rates.forget(key);
      this.#pausedUntilMs.set(key, (value as LimitState | undefined)?.pausedUntilMs ?? 0);
    }
    if (kind !== "limits") return;
    if (value === undefined) this.#settings.delete(key);
    else this.#settings.set(key, value as LimitSetting);
  }

  jobChanges(next: Job): void {
    if (next.state !== "active") {
      this.#active.delete(next.seq);
      return;
    }
    const isStart = !this.#active.has(next.seq);
    this.#active.set(next.seq, next);
    if (!isStart) return;
    this.#checkConcurrency(next);
    this.#checkTimes(next);
    const { fifo } = next.options.lane ?? {};
    if (fifo === undefined) return;
    const same = (job: Job) => job.queue === next.queue && job.options.lane?.fifo === fifo;
    const others = this.#count(same) - 1;
    if (others > 0) this.#report(`job ${next.seq} runs beside ${others} of its line ${fifo}`);
  }

  #checkConcurrency({ seq, queue, options }: Job): void {
    this.#check(seq, limitName("queue", queue), (job) => (job.queue === queue ? 1 : 0));
    for (const [name] of options.lane?.resources ?? []) {
      const slotsOf = (job: Job) =>
        job.options.lane?.resources?.find(([other]) => other === name)?.[1] ?? 0;
      this.#check(seq, limitName("resource", "", name), slotsOf);
    }
    const key = options.lane?.key;
    if (key === undefined) return;
    const own = limitName("key", queue, key);
    const name = this.#settings.has(own) ? own : limitName("eachKey", queue);
    const isOfKey = (job: Job) => job.queue === queue && job.options.lane?.key === key;
    this.#check(seq, name, (job) => (isOfKey(job) ? 1 : 0));
  }

  /** Rates and pauses. */
  #checkTimes({ seq, queue, options, startedAtMs }: Job): void {
    const { key, cost = 1, resources = [] } = options.lane ?? {};
    const uses: { name: string; setting: LimitSetting | undefined; cost: number }[] = [];
    const use = (name: string, units: number, byDefault = name) => {
      const setting = this.#settings.get(name) ?? this.#settings.get(byDefault);
      uses.push({ name, setting, cost: units });
    };
    use(limitName("queue", queue), cost);
    if (key !== undefined) {
      use(limitName("key", queue, key), cost, limitName("eachKey", queue));
    }
    for (const [name, units] of resources) use(limitName("resource", "", name), units);
    for (const { name, setting, cost: units } of uses) {
      const isPaused = (this.#pausedUntilMs.get(name) ?? 0) > startedAtMs;
      const early =
        setting === undefined ? undefined : this.#rates.start(name, setting, startedAtMs, units);
      const problem = isPaused ? "while it is paused" : early;
      if (problem !== undefined) {
        this.#report(`job ${seq} starts under ${JSON.stringify(name)} ${problem}`);
      }
    }
  }

  #check(seq: number, name: string, slotsOf: (job: Job) => number): void {
    const most = this.#settings.get(name)?.concurrency;
    if (most === undefined) return;
    let out = 0;
    for (const job of this.#active.values()) out += slotsOf(job);
    // A job that needs more than there is runs alone.
    const isAlone = this.#count((job) => slotsOf(job) > 0) === 1;
    if (out > most && !isAlone) {
      this.#report(`job ${seq} starts as ${out} of ${most} under ${JSON.stringify(name)}`);
    }
  }

  #count(isCounted: (job: Job) => boolean): number {
    let count = 0;
    for (const job of this.#active.values()) if (isCounted(job)) count++;
    return count;
  }
}
