/**
 * One run of one scenario: its server, its queues and ledgers, its measured span, and the check at the end.
 *
 * A run owns queues whose names no other run uses, so that the counters of the server speak of this run alone, and every
 * queue has its ledger. CPU time is taken over the measured span only, for both processes: on a machine that they share
 * it is what explains a rate.
 */
import { CorvoError } from "../../base/errors.ts";
import type { Client } from "../../sdk/client.ts";
import type { System } from "../_shared/system.ts";
import { JobShape } from "./job-shape.ts";
import { Ledger, type QueueTotals } from "./ledger.ts";
import type { OwnServer } from "./own-server.ts";
import { cpuMicros, machineMicros, type ProcessMicros } from "./process-stats.ts";
import type { Figure, SettingName, Settings } from "./scenario.ts";
import { type LoadPlan, StreamLoad } from "./stream-load.ts";

export interface BenchDeps {
  readonly system: System;
  readonly server: string;
  readonly apiKey: string | undefined;
  /** A client for this address. */
  readonly connect: (server: string) => Client;
  /** Undefined when the run was pointed at a server. */
  readonly own: OwnServer | undefined;
  readonly settings: Settings;
  readonly defaults: Settings;
  /** Part of every queue name. */
  readonly runId: string;
  readonly progress: (share: number | undefined, text: string) => void;
}

/** What a queue's jobs are, and what became of them. */
export interface Lane {
  readonly queue: string;
  readonly shape: JobShape;
  readonly ledger: Ledger;
}

export interface CpuUse {
  readonly jobs: number;
  readonly elapsedMs: number;
  /** Of all its threads, and of its main one. */
  readonly server: ProcessMicros | undefined;
  readonly clientMicros: number;
  /** Of all processes of this machine, these two included. */
  readonly machineMicros: number;
}

export interface Verdict {
  readonly accepted: number;
  readonly completed: number;
  readonly waiting: number;
  readonly dead: number;
  readonly problems: readonly string[];
}

/** How far a wait is, for whoever watches. */
interface Shown {
  readonly share: () => number;
  readonly text: string;
}

/** Any load generator, as far as waiting for it goes. */
interface RunningLoad {
  readonly isIdle: boolean;
  readonly failed: Promise<never>;
}

/** How long the server may be silent before a run counts as stuck. */
const silentMsMax = 30_000;
const stepMs = 100;
/** Jobs in one frame of a load that is only there to fill a queue, and its frames. */
const fill = { batch: 500, connections: 4, frames: 2 } as const;

export class Bench {
  readonly deps: BenchDeps;
  readonly #lanes: Lane[] = [];
  readonly #notes: string[] = [];
  #cpu: CpuUse | undefined;
  #server: string;

  constructor(deps: BenchDeps) {
    this.deps = deps;
    this.#server = deps.server;
  }

  get server(): string {
    return this.#server;
  }

  get client(): Client {
    return this.deps.connect(this.#server);
  }

  get own(): OwnServer {
    const { own } = this.deps;
    if (own === undefined) throw new CorvoError("CONFLICT", "this scenario needs its own server");
    return own;
  }

  /** Milliseconds of a clock that only goes forward. */
  nowMs(): number {
    return this.deps.system.clock.monotonicMs();
  }

  get cpu(): CpuUse | undefined {
    return this.#cpu;
  }

  get notes(): readonly string[] {
    return this.#notes;
  }

  note(text: string): void {
    if (!this.#notes.includes(text)) this.#notes.push(text);
  }

  /** A size of this run. A scenario asks only for those that its own settings name. */
  setting(name: SettingName): number {
    const value = this.deps.settings[name] ?? this.deps.defaults[name];
    if (value === undefined) throw new CorvoError("INTERNAL_ERROR", `no default for ${name}`);
    return value;
  }

  /** The figure's bar, when this run has the sizes that the bar was set for. */
  bar(bar: number, stretch: number): Pick<Figure, "bar"> {
    const sizes: SettingName[] = [
      "connections",
      "batch",
      "frames",
      "concurrency",
      "payloadBytes",
      "jobs",
      "keys",
      "groups",
    ];
    const isComparable = sizes.every((name) => {
      const asked = this.deps.defaults[name];
      return asked === undefined || this.deps.settings[name] === asked;
    });
    return isComparable ? this.goal(bar, stretch) : {};
  }

  /** The same, for a scenario that has looked at the sizes itself. */
  goal(bar: number, stretch: number): Pick<Figure, "bar"> {
    return { bar: { bar, stretch } };
  }

  lane(name: string, options?: (number: number) => string): Lane {
    const queue = `bench-${this.deps.runId}-${name}`;
    const shape = new JobShape(queue, this.setting("payloadBytes"), options);
    const lane = { queue, shape, ledger: new Ledger() };
    this.#lanes.push(lane);
    return lane;
  }

  load(lane: Lane, plan: Omit<LoadPlan, "server" | "apiKey" | "timers" | "shape" | "ledger">) {
    const { apiKey, system } = this.deps;
    const { shape, ledger } = lane;
    const { timers } = system;
    return StreamLoad.open({ ...plan, server: this.#server, apiKey, timers, shape, ledger });
  }

  /** Waits while the load runs; fails with it. */
  async pause(load: RunningLoad, durationMs: number, text: string): Promise<void> {
    const startMs = this.nowMs();
    for (;;) {
      const spentMs = this.nowMs() - startMs;
      if (spentMs >= durationMs) return;
      this.deps.progress(spentMs / durationMs, text);
      await Promise.race([Bun.sleep(Math.min(stepMs, durationMs - spentMs)), load.failed]);
    }
  }

  /** Waits until the condition holds. Fails when the ledger stands still for too long. */
  async until(
    load: StreamLoad,
    ledger: Ledger,
    condition: () => boolean,
    shown?: Shown,
  ): Promise<void> {
    const done = load.wait(condition);
    let lastMs = this.nowMs();
    let last = -1;
    for (;;) {
      const ended = await Promise.race([done.then(() => true), Bun.sleep(stepMs)]);
      if (ended === true) return;
      if (shown !== undefined) this.deps.progress(shown.share(), shown.text);
      const now = ledger.accepted + ledger.claimed + ledger.acked;
      if (now !== last) {
        last = now;
        lastMs = this.nowMs();
      } else if (this.nowMs() - lastMs > silentMsMax) {
        throw new CorvoError(
          "UNAVAILABLE",
          `nothing happened for ${silentMsMax / 1000} s; ${ledger.sent} jobs were sent, ${ledger.accepted} accepted, ${ledger.claimed} claimed, ${ledger.acked} completed`,
        );
      }
    }
  }

  /** Waits until everything that was sent is answered. */
  async settle(load: RunningLoad): Promise<void> {
    const endMs = this.nowMs() + silentMsMax;
    while (!load.isIdle) {
      if (this.nowMs() > endMs) {
        throw new CorvoError("UNAVAILABLE", `an answer did not come for ${silentMsMax / 1000} s`);
      }
      await Promise.race([Bun.sleep(stepMs / 10), load.failed]);
    }
  }

  /** Enqueues this many jobs as fast as the server takes them, outside of any measured span. */
  async fill(lane: Lane, count: number, text: string): Promise<void> {
    const { ledger } = lane;
    const goal = ledger.sent + count;
    const load = await this.load(lane, {
      connections: Math.min(fill.connections, Math.ceil(count / fill.batch)),
      framesMax: fill.frames,
      produce: () => Math.min(fill.batch, goal - ledger.sent),
    });
    try {
      load.pump();
      const share = () => 1 - (goal - ledger.accepted) / count;
      await this.until(load, ledger, () => ledger.sent === goal && load.isIdle, { share, text });
    } finally {
      load.close();
    }
  }

  /** Begins the measured span; `end` says how many jobs it did, and returns how long it took. Several spans of a run add up. */
  span(): { end(jobs: number): number } {
    const pid = this.deps.own?.pid;
    const serverBefore = pid === undefined ? undefined : cpuMicros(pid);
    const clientBefore = process.cpuUsage();
    const machineBefore = machineMicros();
    const startMs = this.nowMs();
    return {
      end: (jobs) => {
        const elapsedMs = this.nowMs() - startMs;
        const client = process.cpuUsage(clientBefore);
        const serverAfter = pid === undefined ? undefined : cpuMicros(pid);
        const before = this.#cpu;
        this.#cpu = {
          jobs: jobs + (before?.jobs ?? 0),
          elapsedMs: elapsedMs + (before?.elapsedMs ?? 0),
          server: spent(serverBefore, serverAfter, before?.server),
          clientMicros: client.user + client.system + (before?.clientMicros ?? 0),
          machineMicros: machineMicros() - machineBefore + (before?.machineMicros ?? 0),
        };
        return elapsedMs;
      },
    };
  }

  /** Kills the server as a crash would and starts it again on the same data. Returns the time until it serves. */
  async crash(): Promise<number> {
    await this.own.kill();
    const startMs = this.nowMs();
    await this.own.start();
    this.#server = this.own.url;
    await this.client.health({});
    return this.nowMs() - startMs;
  }

  /** Compares every ledger with the counters of its queue. */
  async verify(): Promise<Verdict> {
    const sum = { accepted: 0, completed: 0, waiting: 0, dead: 0 };
    const problems: string[] = [];
    for (const { queue, ledger } of this.#lanes) {
      if (ledger.sent === 0) continue;
      const totals = await this.#totals(queue);
      problems.push(...ledger.verify(totals).map((problem) => `${queue}: ${problem}`));
      sum.accepted += ledger.accepted;
      sum.completed += totals.completed;
      sum.waiting += totals.waiting;
      sum.dead += totals.dead;
    }
    return { ...sum, problems };
  }

  /** A server that was there before gets its queues removed. */
  async removeQueues(): Promise<void> {
    for (const { queue, ledger } of this.#lanes) {
      if (ledger.sent > 0) await this.client.deleteQueue({ params: { name: queue } });
    }
  }

  async #totals(queue: string): Promise<QueueTotals> {
    const found = await this.client.getQueue({ params: { name: queue } });
    const { completed, dead, cancelled, pending, scheduled, retrying, active, held } = found;
    const waiting = pending + scheduled + retrying + active + held;
    return { completed, dead, cancelled, waiting };
  }
}

/** The CPU time between two readings, with that of earlier spans; undefined when a reading is missing. */
function spent(
  from: ProcessMicros | undefined,
  to: ProcessMicros | undefined,
  earlier: ProcessMicros = { all: 0, main: 0 },
): ProcessMicros | undefined {
  if (from === undefined || to === undefined) return undefined;
  return { all: to.all - from.all + earlier.all, main: to.main - from.main + earlier.main };
}
