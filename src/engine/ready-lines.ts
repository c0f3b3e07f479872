/**
 * The lines of ready jobs, and which job is next: by priority, then by the turn of its group, then by place, the first
 * that no limit stops. A queue without limits whose jobs have no lanes is one line per priority and nothing else.
 *
 * Jobs with a lane (`limits/lane.ts`) stand in the line of their lane, since equal lanes are stopped alike. Everything
 * here is derived from jobs and records, rebuilt at start, and never decides differently for having been rebuilt.
 */
import { must } from "../base/assert.ts";
import { ClaimCounter } from "./limits/claim-counter.ts";
import { FifoKeys } from "./limits/fifo-keys.ts";
import { Gates, type Need } from "./limits/gates.ts";
import { costOf, groupOf, type Lane, laneName } from "./limits/lane.ts";
import { LaneSet } from "./limits/lane-set.ts";
import { Parking, SleepingQueue } from "./limits/parking.ts";
import { LaneLine } from "./limits/pool.ts";
import { type LimitTarget, limitName, nameOf } from "./limits/setting.ts";
import { queueOfStand, Stands, standOf } from "./limits/stands.ts";
import { Turns } from "./limits/turns.ts";
import type { Head, Line, LinedJob, LineHost, StandLines } from "./ready-line.ts";
import { ReadyQueue } from "./ready-queue.ts";

export class ReadyLines {
  readonly gates: Gates;
  readonly fifo = new FifoKeys();
  readonly stands = new Stands();
  readonly #host: LineHost;
  readonly #parking: Parking;
  /** By stand (`limits/stands.ts`), which is the queue's name for jobs without requirements. */
  readonly #queues = new Map<string, StandLines>();
  /** Waiting jobs by queue and group. */
  readonly #backlogs = new Map<string, number>();
  /** Sets that a ready job has left since `settle`. */
  readonly #left: LaneSet[] = [];
  /** Stands that may have lost their last job since `settle`. */
  readonly #emptied: string[] = [];
  /** Stored turns of lines whose jobs have not been seen yet. */
  readonly #storedTurns = new Map<string, [string | undefined, number][]>();
  /** Grows with everything that may change what can be claimed. */
  #change = 0;

  constructor(host: LineHost) {
    this.#host = host;
    this.gates = new Gates(host.state);
    this.#parking = new Parking(this.gates, {
      get nowMs() {
        return host.nowMs;
      },
      ready: (stand) => host.effects.readyQueues.add(queueOfStand(stand)),
    });
    for (const [name, { pass }] of host.state.records("turns").entries()) {
      const [queue = "", priority = "", ...group] = name.split("\n");
      const line = `${queue}\n${priority}`;
      const stored = this.#storedTurns.get(line) ?? [];
      stored.push([group.length === 0 ? undefined : group.join("\n"), pass]);
      this.#storedTurns.set(line, stored);
    }
    for (const [, { target }] of host.state.records("limits").entries()) {
      if (target.scope === "queue") this.limitQueue(target.queue);
    }
    for (const [, { target }] of host.state.records("limitStates").entries()) {
      if (target.scope === "queue") this.limitQueue(target.queue);
    }
  }

  /** Takes in an unfinished job in the state that it has now. */
  join(job: LinedJob): void {
    this.#change++;
    const { lane } = job.options;
    if (lane === undefined) {
      if (job.order > 0) this.#pushPlain(job);
      return;
    }
    this.#count(job, lane, 1);
    if (lane.requires !== undefined) this.stands.join(job.queue, lane.requires);
    if (lane.fifo !== undefined) this.fifo.join(job.queue, lane.fifo, job);
    if (job.state === "active") {
      for (const { gate, slots } of this.needsOf(job.queue, lane)) {
        gate.used += slots;
        gate.holders ??= new Set();
        gate.holders.add(job.seq);
      }
    } else if (job.order > 0) {
      const set = this.#openSet(standOf(job), job.priority);
      set.jobs.push(job.order, job.seq);
      set.count(groupOf(lane), 1);
      if (lane.fifo === undefined) this.#show(set, job, lane);
    }
  }

  /** The reverse of `join`. */
  leave(job: LinedJob): void {
    this.#change++;
    const { lane } = job.options;
    if (lane === undefined) {
      if (job.order > 0) this.#removePlain(job);
      else if (job.state === "active") this.#queueGateChanged(job.queue);
      return;
    }
    this.#count(job, lane, -1);
    if (lane.requires !== undefined) {
      this.stands.leave(job.queue, lane.requires);
      this.#emptied.push(standOf(job));
    }
    const fifo = lane.fifo === undefined ? undefined : this.fifo.leave(job.queue, lane.fifo, job);
    if (job.state === "active") {
      for (const { gate, slots } of this.needsOf(job.queue, lane)) {
        gate.used -= slots;
        gate.holders?.delete(job.seq);
        this.#parking.gateChanged(gate);
        this.gates.tidy(gate);
      }
      this.#queueGateChanged(job.queue);
    } else if (job.order > 0) {
      const set = this.#setOf(job);
      set.jobs.remove(job.order);
      set.count(groupOf(lane), -1);
      if (fifo === undefined || fifo.shown === job.seq) this.#hide(set, job, lane);
      if (fifo?.shown === job.seq) fifo.shown = 0;
      this.#left.push(set);
    }
  }

  /**
   * Lets the next job of each key that changed into its lane, and ends turns and lanes that nobody needs any more. Must
   * follow each change of a job, once the records have it.
   */
  settle(): void {
    for (let set = this.#left.pop(); set !== undefined; set = this.#left.pop()) this.#tidy(set);
    for (let name = this.#emptied.pop(); name !== undefined; name = this.#emptied.pop()) {
      if (!this.stands.of(queueOfStand(name)).includes(name)) this.#forgetStand(name);
    }
    if (!this.fifo.isDirty) return;
    for (const fifo of this.fifo.takeDirty()) {
      const first = this.#host.state.getJob(fifo.jobs.topKey());
      const shown = first !== undefined && first.order > 0 && fifo.active === 0;
      const seq = shown ? first.seq : 0;
      if (seq === fifo.shown) continue;
      const old = fifo.shown === 0 ? undefined : this.#host.state.getJob(fifo.shown);
      if (old?.options.lane !== undefined) this.#hide(this.#setOf(old), old, old.options.lane);
      fifo.shown = seq;
      if (!shown || first.options.lane === undefined) continue;
      this.#show(this.#setOf(first), first, first.options.lane);
      this.#host.effects.readyQueues.add(first.queue);
    }
  }

  /** The job that is next of a stand, of those that nothing stops. */
  head(stand: string): Head | undefined {
    const found = this.#queues.get(stand);
    if (found === undefined) return undefined;
    if (this.#parking.nextWakeMs() <= this.#host.nowMs) this.#parking.wakeDue();
    if (found.sleeping !== undefined && !this.#parking.isQueueOpen(found.sleeping))
      return undefined;
    const { lines } = found;
    for (let priority = 0; priority < lines.length; priority++) {
      const line = lines[priority];
      if (line === undefined) continue;
      if (line.lanes === undefined) {
        const seq = line.plain.peek();
        if (seq === undefined) continue;
        return { priority, order: line.plain.headOrder(), seq, line: undefined };
      }
      const best = this.#parking.best(line.lanes);
      const seq = best?.jobs.peek();
      if (best !== undefined && seq !== undefined) {
        return { priority, order: best.place, seq, line: best };
      }
    }
    return undefined;
  }

  /** The head of a stand is claimed now: spends what that costs and moves the turn on. Before the job changes. */
  serve(stand: string, head: Head): void {
    this.#change++;
    const found = this.#queues.get(stand);
    const { line } = head;
    const gate = found?.sleeping?.gate;
    if (gate !== undefined) {
      this.gates.spend({ gate, slots: 1, cost: costOf(line?.lane) }, this.#host.nowMs);
    }
    if (line === undefined) return;
    for (const need of line.needs) this.gates.spend(need, this.#host.nowMs);
    const set = must(found?.lines[head.priority]?.lanes, "a lane is in a set");
    if (set.groupCount > 1) {
      set.turns.serve(line.group, this.weightOf(queueOfStand(stand), line.group));
    }
  }

  /** The first job of the lines, whether or not something stops it. */
  first(queue: string): number | undefined {
    const firsts = this.stands.of(queue).flatMap((stand) => this.#firstOf(stand) ?? []);
    firsts.sort((one, other) => one.priority - other.priority || one.order - other.order);
    return firsts[0]?.seq;
  }

  #firstOf(stand: string): { priority: number; order: number; seq: number } | undefined {
    for (const [priority, { plain, lanes }] of this.linesOf(stand)) {
      const of = (line: ReadyQueue | undefined) => {
        const seq = line?.peek();
        return line === undefined || seq === undefined
          ? undefined
          : { priority, order: line.headOrder(), seq };
      };
      const [one, other] = [of(plain), of(lanes?.jobs)];
      if (one !== undefined && other !== undefined) return one.order < other.order ? one : other;
      if (one !== undefined || other !== undefined) return one ?? other;
    }
    return undefined;
  }

  /** How many jobs of the queue are in line, stopped or not. */
  size(queue: string): number {
    if (this.stands.isIdle) return this.#sizeOf(queue);
    return this.stands.of(queue).reduce((count, stand) => count + this.#sizeOf(stand), 0);
  }

  #sizeOf(stand: string): number {
    let count = 0;
    for (const line of this.#queues.get(stand)?.lines ?? []) {
      if (line !== undefined) count += line.plain.size + (line.lanes?.jobs.size ?? 0);
    }
    return count;
  }

  /**
   * How many jobs a claim with these labels could get, or so, counted up to `most`: exactly when none could, and never none
   * when one could. Asked again before anything changed, it does not count again.
   */
  claimable(queue: string, most: number, labels?: readonly string[]): number {
    if (labels === undefined || this.stands.isIdle) return this.#claimableOf(queue, most);
    let count = 0;
    for (const stand of this.stands.openTo(queue, labels)) {
      count += this.#claimableOf(stand, most - count);
      if (count >= most) break;
    }
    return count;
  }

  #claimableOf(stand: string, most: number): number {
    const found = this.#queues.get(stand);
    if (found === undefined) return 0;
    if (found.sleeping === undefined && found.laneSets === 0) return this.#sizeOf(stand);
    const known = found.counted;
    if (
      known !== undefined &&
      known.change === this.#change &&
      known.nowMs === this.#host.nowMs &&
      (known.count >= most || known.count < known.most)
    ) {
      return known.count;
    }
    const count = this.#countClaimable(found, Math.max(1, most));
    found.counted = { change: this.#change, nowMs: this.#host.nowMs, count, most };
    return count;
  }

  /** What a run of a job with this lane needs besides what its queue asks of all. */
  needsOf(queue: string, lane: Lane): Need[] {
    const needs: Need[] = [];
    if (lane.key !== undefined) {
      needs.push({ gate: this.gates.open("key", queue, lane.key), slots: 1, cost: costOf(lane) });
    }
    for (const [name, units] of lane.resources ?? []) {
      needs.push({ gate: this.gates.open("resource", "", name), slots: units, cost: units });
    }
    return needs;
  }

  /** The lines of a stand with their priorities, the best first. */
  linesOf(stand: string): (readonly [number, Line])[] {
    return [...(this.#queues.get(stand)?.lines.entries() ?? [])].flatMap(([priority, line]) =>
      line === undefined ? [] : [[priority, line] as const],
    );
  }

  nextWakeMs(): number {
    return this.#parking.nextWakeMs();
  }

  wakeDue(): void {
    this.#parking.wakeDue();
  }

  /** Waiting jobs of a group. */
  backlogOf(queue: string, group: string): number {
    return this.#backlogs.get(`${queue}\n${group}`) ?? 0;
  }

  /** Share of the turns of a group. */
  weightOf(queue: string, group: string): number {
    const limits = this.#host.state.records("limits");
    const own = limits.get(limitName("group", queue, group))?.weight;
    return own ?? limits.get(limitName("eachGroup", queue))?.weight ?? 1;
  }

  /** The setting of a target changed. */
  settingChanged(target: LimitTarget): void {
    this.#change++;
    this.gates.settingsChanged();
    if (target.scope !== "eachKey") {
      this.stateChanged(target);
      return;
    }
    for (const gate of [...this.gates.all()]) {
      if (gate.target.scope !== "key" || gate.target.queue !== target.queue) continue;
      this.#parking.gateChanged(gate);
    }
  }

  /** What a target has spent, or its pause, changed by hand. */
  stateChanged(target: LimitTarget): void {
    this.#change++;
    if (target.scope === "queue") {
      this.limitQueue(target.queue);
      this.#host.effects.readyQueues.add(target.queue);
    }
    const gate = this.gates.find(nameOf(target));
    if (gate !== undefined) this.#parking.gateChanged(gate);
  }

  /** Makes the queue pass a gate of its own. */
  limitQueue(queue: string): void {
    this.#openQueue(queue);
    for (const stand of this.stands.of(queue)) {
      const found = this.#queues.get(stand);
      if (found !== undefined && found.sleeping === undefined) this.#limit(found, queue);
    }
  }

  #limit(found: StandLines, queue: string): void {
    const gate = this.gates.open("queue", queue);
    gate.users++;
    found.sleeping = new SleepingQueue(gate);
    for (const line of found.lines) if (line?.lanes !== undefined) line.lanes.queueGate = gate;
  }

  /** Forgets the lines of a queue that no longer exists. */
  forgetQueue(queue: string): void {
    this.#change++;
    for (const stand of this.stands.of(queue)) this.#forgetStand(stand);
  }

  #forgetStand(stand: string): void {
    const sleeping = this.#queues.get(stand)?.sleeping;
    if (sleeping !== undefined) {
      this.#parking.forgetQueue(sleeping);
      sleeping.gate.users--;
      this.gates.tidy(sleeping.gate);
    }
    this.#queues.delete(stand);
  }

  #countClaimable({ sleeping, lines }: StandLines, most: number): number {
    if (this.#parking.nextWakeMs() <= this.#host.nowMs) this.#parking.wakeDue();
    let room = Number.POSITIVE_INFINITY;
    if (sleeping !== undefined) {
      if (!this.#parking.isQueueOpen(sleeping)) return 0;
      room = this.gates.roomOf(sleeping.gate, this.#host.nowMs);
    }
    const counter = new ClaimCounter(this.gates, this.#parking, {
      nowMs: this.#host.nowMs,
      most: Math.min(room, most),
    });
    for (const line of lines) {
      if (line === undefined) continue;
      if (line.lanes === undefined) counter.count += line.plain.size;
      else counter.add(line.lanes);
      if (counter.isEnough) break;
    }
    return Math.min(room, counter.count);
  }

  #pushPlain(job: LinedJob): void {
    const line = this.#openLine(job.queue, job.priority);
    line.plain.push(job.order, job.seq);
    if (line.lanes !== undefined) this.#parking.changed(line.lanes, line.lanes.plain);
  }

  #removePlain(job: LinedJob): void {
    const line = this.#queues.get(job.queue)?.lines[job.priority];
    if (line === undefined) return;
    line.plain.remove(job.order);
    if (line.lanes === undefined) return;
    this.#parking.changed(line.lanes, line.lanes.plain);
    this.#left.push(line.lanes);
  }

  /** Puts a ready job into the line of its lane. */
  #show(set: LaneSet, job: LinedJob, lane: Lane): void {
    const name = laneName(lane);
    let line = set.lanes.get(name);
    if (line === undefined) {
      line = new LaneLine(lane, new ReadyQueue(), this.needsOf(job.queue, lane));
      for (const { gate } of line.needs) gate.users++;
      set.lanes.set(name, line);
    }
    line.jobs.push(job.order, job.seq);
    this.#parking.changed(set, line);
  }

  #hide(set: LaneSet, job: LinedJob, lane: Lane): void {
    const name = laneName(lane);
    const line = must(set.lanes.get(name), "the lane of a ready job exists");
    line.jobs.remove(job.order);
    this.#parking.changed(set, line);
    if (line.jobs.size > 0) return;
    set.lanes.delete(name);
    for (const { gate } of line.needs) {
      gate.users--;
      this.gates.tidy(gate);
    }
  }

  #count(job: LinedJob, lane: Lane, by: number): void {
    if (lane.group === undefined || job.state === "active") return;
    const name = `${job.queue}\n${lane.group}`;
    const count = (this.#backlogs.get(name) ?? 0) + by;
    if (count === 0) this.#backlogs.delete(name);
    else this.#backlogs.set(name, count);
  }

  /** A unit of the queue came back. */
  #queueGateChanged(queue: string): void {
    const found = this.#queues.get(queue);
    if (found?.sleeping === undefined) return;
    this.#parking.gateChanged(found.sleeping.gate);
    if (this.size(queue) > 0) this.#host.effects.readyQueues.add(queue);
  }

  #setOf(job: LinedJob): LaneSet {
    return must(
      this.#queues.get(standOf(job))?.lines[job.priority]?.lanes,
      "the line of a ready job with a lane has lanes",
    );
  }

  #openSet(stand: string, priority: number): LaneSet {
    const line = this.#openLine(stand, priority);
    if (line.lanes !== undefined) return line.lanes;
    const turns = new Turns(this.#host.state.records("turns"), stand, priority);
    for (const [group, pass] of this.#storedTurns.get(`${stand}\n${priority}`) ?? []) {
      turns.load(group, pass);
    }
    this.#storedTurns.delete(`${stand}\n${priority}`);
    line.lanes = new LaneSet({ stand, priority }, turns, line.plain);
    const lines = this.#openQueue(stand);
    line.lanes.queueGate = lines.sleeping?.gate;
    lines.laneSets++;
    return line.lanes;
  }

  /** Turns end when one group is left, and lanes with the last job that has one. */
  #tidy(set: LaneSet): void {
    if (set.groupCount < 2) set.turns.reset();
    if (set.jobs.size > 0) return;
    const found = this.#queues.get(set.stand);
    const line = found?.lines[set.priority];
    if (found === undefined || line?.lanes !== set) return;
    line.lanes = undefined;
    found.laneSets--;
  }

  #openQueue(stand: string): StandLines {
    let found = this.#queues.get(stand);
    if (found === undefined) {
      found = { counted: undefined, sleeping: undefined, laneSets: 0, lines: [] };
      this.#queues.set(stand, found);
      const queue = queueOfStand(stand);
      if (this.#queues.get(queue)?.sleeping !== undefined) this.#limit(found, queue);
    }
    return found;
  }

  #openLine(stand: string, priority: number): Line {
    const { lines } = this.#openQueue(stand);
    let line = lines[priority];
    if (line === undefined) {
      while (lines.length <= priority) lines.push(undefined);
      line = { plain: new ReadyQueue(), lanes: undefined };
      lines[priority] = line;
    }
    return line;
  }
}
