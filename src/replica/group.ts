/**
 * One member of one consensus group, driven: carries out the work that the core hands out, and feeds back what became of
 * it. A single node is a group of one; there is no other path to the log.
 *
 * The order of things that safety depends on is in the core's `Ready`; here it is kept by three rules. Writes go to the
 * log in the order in which they were handed out. What waits for a write is released by the log's callback and by nothing
 * else. Entries are applied one after the other in one place, however often the loop is entered meanwhile.
 */
import type { Log, LogFault } from "../base/log.ts";
import type { Logger, Random, Timers } from "../base/ports.ts";
import type { ConfChange } from "../raft/conf-change.ts";
import { isConfChangeType } from "../raft/conf-change.ts";
import type { RaftOptions } from "../raft/config.ts";
import type { ConfState, Entry, HardState, Message, NodeId, SoftState } from "../raft/message.ts";
import { type ProposeResult, RaftNode } from "../raft/node.ts";
import { type AppendWork, type ApplyWork, mustSync, type Ready } from "../raft/ready.ts";
import type { RaftState } from "../raft/state.ts";
import { Doze, type DozeTicks } from "./doze.ts";
import { GroupReads } from "./group-reads.ts";
import { successorOf } from "./handover.ts";
import { type RaftLogStart, RaftLogStorage, toLogEntry } from "./raft-log.ts";
import type { Ticker } from "./ticker.ts";
import { VoterChange } from "./voter-change.ts";

export interface GroupDeps {
  readonly log: Log;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
  /** Hands messages to the network; unreliable, never waits. */
  readonly send: (to: NodeId, messages: readonly Message[]) => void;
  /** Sends the state to a member; calls back with whether it arrived. */
  readonly sendSnapshot: (to: NodeId, message: Message, done: (ok: boolean) => void) => void;
  /** A committed entry with data, in order, exactly once. */
  readonly onEntry: (entry: Entry) => void;
  /** The membership after an applied change. */
  readonly onConf: (conf: ConfState, entry: Entry) => void;
  /** Role or leader changed. */
  readonly onSoft: (soft: SoftState) => void;
  /** A write failed. After a full disk it is tried again until it goes through, which `onLogRecovered` tells. */
  readonly onLogFault: (fault: LogFault) => void;
  readonly onLogRecovered: () => void;
  /** The clock that groups of one node share; without it a group has a timer of its own. */
  readonly ticker?: Ticker;
}

export interface GroupOptions {
  readonly group: number;
  readonly nodeId: NodeId;
  readonly tickMs: number;
  readonly start: RaftLogStart;
  readonly raft?: Partial<RaftOptions>;
  /** Let it doze while it is idle (`doze.ts`): worth it where there are many. */
  readonly doze?: DozeTicks;
}

const fullDiskRetryMs = 500;

interface Step {
  readonly work: AppendWork;
  /** When it was handed out. */
  readonly tick: number;
  /**
   * As it was when the work was handed out. When the work is written again later, the commit index may speak of entries
   * that come with a later work: stored with this one, it would commit what a crash leaves in their place.
   */
  readonly hard: HardState;
  isDone: boolean;
}

export class Group {
  readonly #deps: GroupDeps;
  readonly #options: GroupOptions;
  readonly #storage: RaftLogStorage;
  readonly #node: RaftNode;
  readonly #voterChange: VoterChange;
  readonly #applies: ApplyWork[] = [];
  #applying = false;
  /** Highest index handed to the log, durable or not. */
  #written: number;
  #writesInFlight = 0;
  /** Works that were handed out and not yet reported as done, in order. */
  readonly #steps: Step[] = [];
  /** A write found the disk full; nothing is written until it is tried again. */
  #isWaitingForDisk = false;
  /** The last answer of the log was that the disk is full. */
  #isDiskFull = false;
  #isRetryPlanned = false;
  #recovering = false;
  #wasReady = false;
  readonly #readyListeners = new Set<() => void>();
  #ticks = 0;
  #appliedIndex: number;
  /** Index of the first entry of the term that this node leads. */
  #termStart = Number.POSITIVE_INFINITY;
  readonly #reads: GroupReads;
  #cancelTick: (() => void) | undefined;
  readonly #doze: Doze | undefined;
  #stopped = false;

  constructor(deps: GroupDeps, options: GroupOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#storage = new RaftLogStorage(deps.log, options.group, options.start);
    this.#written = this.#storage.lastIndex();
    this.#appliedIndex = options.start.applied;
    const ask = (token: number) => this.#node.readIndex(token).kind !== "dropped";
    this.#reads = new GroupReads(deps.random.uint32(), ask);
    this.#node = new RaftNode({
      id: options.nodeId,
      storage: this.#storage,
      random: deps.random,
      applied: options.start.applied,
      logger: {
        debug: (text) => deps.logger.debug(text),
        info: (text) => deps.logger.debug(text),
        warn: (text) => deps.logger.warn(text),
        error: (text) => deps.logger.error(text),
      },
      ...options.raft,
    });
    this.#voterChange = new VoterChange(this.#node);
    if (options.doze !== undefined) {
      this.#doze = new Doze(this.#node.state, options.doze, deps.send);
    }
  }

  /** The core's state, to look at. */
  get state(): RaftState {
    return this.#node.state;
  }

  get storage(): RaftLogStorage {
    return this.#storage;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** May this node accept proposals: it leads, and has applied everything from before its term. */
  get isReady(): boolean {
    const raft = this.#node.state;
    return (
      raft.role === "leader" && raft.hasCommittedInTerm && this.#appliedIndex >= this.#termStart
    );
  }

  /** Calls back each time this node becomes ready to take proposals, until the returned function is called. */
  whenReady(callback: () => void): () => void {
    this.#readyListeners.add(callback);
    return () => this.#readyListeners.delete(callback);
  }

  /** Applies what is known to be committed; a node that is alone leads at once. */
  start(): void {
    this.#pump();
    const { tracker } = this.#node.state;
    const voters = tracker.ids.filter((id) => tracker.get(id)?.isLearner === false);
    if (voters.length === 1 && voters[0] === this.#options.nodeId) this.campaign();
    this.#armTick();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTick?.();
    this.#reads.drop();
  }

  propose(data: Uint8Array): ProposeResult {
    this.#doze?.wake();
    const result = this.#node.propose([data]);
    this.#pump();
    return result;
  }

  proposeConf(change: ConfChange): ProposeResult {
    this.#doze?.wake();
    const result = this.#node.proposeConfChange(change);
    this.#pump();
    return result;
  }

  receive(messages: readonly Message[]): void {
    if (this.#stopped) return;
    for (const message of messages) {
      this.#node.step(message);
      this.#doze?.received(message);
    }
    this.#pump();
  }

  campaign(): void {
    this.#doze?.wake();
    this.#node.campaign();
    this.#pump();
  }

  transferLeadership(to: NodeId): void {
    this.#doze?.wake();
    this.#node.transferLeadership(to);
    this.#pump();
  }

  reportUnreachable(id: NodeId): void {
    this.#doze?.wake();
    this.#node.reportUnreachable(id);
    this.#pump();
  }

  /** Resolves when a read of the applied state is linearizable; rejects when this node does not lead. */
  readBarrier(): Promise<void> {
    if (this.#isAlone() && this.isReady) return Promise.resolve();
    this.#doze?.wake();
    return new Promise((resolve, reject) => {
      this.#reads.begin(resolve, reject);
      this.#pump();
    });
  }

  #isAlone(): boolean {
    return this.#node.state.tracker.ids.length === 1;
  }

  #armTick(): void {
    if (this.#stopped) return;
    const { ticker, timers } = this.#deps;
    if (ticker !== undefined) {
      this.#cancelTick = ticker.every(() => this.#tick());
      return;
    }
    this.#cancelTick = timers.after(this.#options.tickMs, () => {
      this.#tick();
      this.#armTick();
    });
  }

  #tick(): void {
    this.#ticks++;
    if (this.#doze?.tick(this.#isQuiet()) !== true) this.#node.tick();
    this.#handOverWhenUseless();
    this.#reads.tick();
    this.#pump();
  }

  /** Nothing is under way here: no write, no read, nothing to apply. */
  #isQuiet(): boolean {
    const isApplied = this.#appliedIndex === this.#node.state.log.lastIndex();
    return this.#steps.length === 0 && this.#reads.count === 0 && isApplied;
  }

  #handOverWhenUseless(): void {
    const oldest = this.#steps[0];
    if (oldest === undefined) return;
    const successor = successorOf(this.#node.state, {
      waitedTicks: this.#ticks - oldest.tick,
      refused: this.#isDiskFull ? this.#firstUnstored() : undefined,
    });
    if (successor === undefined) return;
    const { id, why } = successor;
    this.#deps.logger.warn(`${why}; node ${id} is asked to lead`);
    this.#node.transferLeadership(id);
  }

  #firstUnstored(): number | undefined {
    for (const { work } of this.#steps) {
      const entry = work.entries[0];
      if (entry !== undefined) return entry.index;
    }
    return undefined;
  }

  /** Carries out everything there is to do. May be entered again from what it calls. */
  #pump(): void {
    if (this.#stopped) return;
    this.#takeAll();
    if (this.#applying) return;
    this.#applying = true;
    while (this.#applyNext()) this.#takeAll();
    this.#applying = false;
  }

  #takeAll(): void {
    while (this.#node.hasReady()) this.#handle(this.#node.takeReady());
  }

  #handle(ready: Ready): void {
    if (ready.append !== undefined) this.#append(ready.append);
    this.#send(ready.messages);
    if (ready.soft !== undefined) this.#noteSoft(ready.soft);
    for (const { index, token } of ready.reads)
      this.#reads.confirm(token, index, this.#appliedIndex);
    if (ready.apply !== undefined) this.#applies.push(ready.apply);
  }

  #noteSoft(soft: SoftState): void {
    // A leader's first entry of its term comes right after what its log held before.
    this.#termStart =
      soft.role === "leader" ? this.#node.state.log.lastIndex() : Number.POSITIVE_INFINITY;
    if (soft.role !== "leader") this.#reads.drop();
    this.#wasReady = this.isReady;
    this.#deps.onSoft(soft);
  }

  #append(work: AppendWork): void {
    // Where only the commit index changed, which may be lost, nothing is written: it travels with the next write. The
    // work still keeps its place in the line, because it may hold promises about the writes before it.
    const step: Step = {
      work,
      tick: this.#ticks,
      hard: this.#node.state.hardState(),
      isDone: !mustSync(work),
    };
    this.#steps.push(step);
    if (this.#isWaitingForDisk) return;
    if (step.isDone) this.#finishSteps();
    else this.#write(step);
  }

  #write(step: Step): void {
    const { hard } = step;
    const { entries } = step.work;
    const first = entries[0];
    const truncates = first !== undefined && first.index <= this.#written;
    this.#written = entries.at(-1)?.index ?? this.#written;
    this.#writesInFlight++;
    this.#deps.log.append(
      {
        group: this.#options.group,
        entries: entries.map(toLogEntry),
        hardState: { term: hard.term, vote: String(hard.vote), commit: hard.commit },
        ...(truncates ? { truncateFrom: first.index } : {}),
      },
      (fault) => {
        this.#writesInFlight--;
        if (this.#stopped) return;
        if (fault !== undefined) this.#writeFailed(fault);
        else this.#wrote(step);
        this.#planRetry();
      },
    );
  }

  #wrote(step: Step): void {
    this.#isDiskFull = false;
    this.#storage.noteDurable(step.work.entries);
    if (this.#recovering) {
      this.#recovering = false;
      this.#deps.onLogRecovered();
    }
    step.isDone = true;
    this.#finishSteps();
    this.#pump();
  }

  /** Reports what is done to the core, in the order in which it was handed out. */
  #finishSteps(): void {
    for (;;) {
      const step = this.#steps[0];
      if (step === undefined || !step.isDone) return;
      this.#steps.shift();
      this.#appended(step.work);
    }
  }

  /** The log has nothing of a write that it refused, nor of those after it: all are made again, in order. */
  #writeFailed(fault: LogFault): void {
    this.#deps.onLogFault(fault);
    this.#isDiskFull = fault.kind === "disk_full";
    if (fault.kind !== "io" && fault.kind !== "closed") this.#isWaitingForDisk = true;
  }

  /** Once every write has its answer. The last one may well have gone through, if a later one was one too many. */
  #planRetry(): void {
    if (!this.#isWaitingForDisk || this.#writesInFlight > 0 || this.#isRetryPlanned) return;
    this.#isRetryPlanned = true;
    this.#deps.timers.after(fullDiskRetryMs, () => this.#writeAgain());
  }

  #writeAgain(): void {
    if (this.#stopped) return;
    this.#isRetryPlanned = false;
    this.#isWaitingForDisk = false;
    this.#recovering = true;
    this.#written = this.#storage.lastIndex();
    for (const step of this.#steps) {
      if (!step.isDone) this.#write(step);
      // Refused at once: what follows must not be written before it.
      if (this.#isWaitingForDisk) return;
    }
  }

  #appended(work: AppendWork): void {
    this.#send(this.#node.appended(work));
  }

  #send(all: readonly Message[]): void {
    if (all.length === 0) return;
    const [first] = all as [Message];
    if (all.length === 1 && first.type !== "MsgSnap") {
      this.#deps.send(first.to, all);
      return;
    }
    const batches = new Map<NodeId, Message[]>();
    for (const message of all) {
      if (message.type === "MsgSnap") this.#sendSnapshot(message);
      else {
        const batch = batches.get(message.to);
        if (batch === undefined) batches.set(message.to, [message]);
        else batch.push(message);
      }
    }
    for (const [to, batch] of batches) this.#deps.send(to, batch);
  }

  #sendSnapshot(message: Message): void {
    const { to } = message;
    this.#deps.sendSnapshot(to, message, (ok) => {
      if (this.#stopped) return;
      this.#node.reportSnapshot(to, ok);
      this.#pump();
    });
  }

  /** False when there is nothing that may be applied now. */
  #applyNext(): boolean {
    const work = this.#applies[0];
    if (work === undefined) return false;
    const isWhole = this.#applyFrom(work);
    if (isWhole) {
      this.#applies.shift();
      this.#node.applied(work);
    }
    this.#reads.applied(this.#appliedIndex);
    this.#noteReady();
    return isWhole;
  }

  /** Goes on where it stopped. False when it has to stop again. */
  #applyFrom({ entries }: ApplyWork): boolean {
    for (const entry of entries) {
      if (entry.index > this.#appliedIndex && !this.#apply(entry)) return false;
    }
    return true;
  }

  /** False for a change that must not count yet; it is tried again after whatever happens next. */
  #apply(entry: Entry): boolean {
    const isChange = isConfChangeType(entry.type);
    if (isChange && !this.#mayApply(entry)) return false;
    this.#appliedIndex = entry.index;
    if (isChange) {
      const conf = this.#node.applyConfChange(entry);
      if (conf !== undefined) this.#deps.onConf(conf, entry);
    } else if (entry.data.length > 0) {
      this.#deps.onEntry(entry);
    }
    return true;
  }

  #mayApply(change: Entry): boolean {
    if (this.#voterChange.mayApply(change)) return true;
    // What was appended for it is sent now, and where the own log answers at once that may be enough.
    this.#takeAll();
    return this.#voterChange.mayApply(change);
  }

  /** A leader is of use only once it has applied what came before its term; that is told like a change of role. */
  #noteReady(): void {
    if (this.#wasReady === this.isReady) return;
    this.#wasReady = this.isReady;
    this.#deps.onSoft(this.#node.state.softState());
    if (this.isReady) for (const listener of [...this.#readyListeners]) listener();
  }
}
