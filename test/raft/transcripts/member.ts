/**
 * One member of a transcript's cluster: a node, its log in memory, and a state machine that strings
 * payloads together. Each applied entry makes a new snapshot; whoever asks gets the newest.
 */
import { must } from "../../../src/base/assert.ts";
import { appendedMessage, appliedMessage } from "../../../src/raft/completion.ts";
import { decodeConfChange, isConfChangeType } from "../../../src/raft/conf-change.ts";
import type { RaftOptions } from "../../../src/raft/config.ts";
import {
  appendWorkMessage,
  applyWorkMessage,
  describeBatch,
  describeMessage,
  describeReady,
} from "../../../src/raft/describe.ts";
import { MemoryLog } from "../../../src/raft/memory-log.ts";
import {
  type Entry,
  type HardState,
  isEmptyHardState,
  type Message,
  type NodeId,
  type Snapshot,
} from "../../../src/raft/message.ts";
import { RaftNode } from "../../../src/raft/node.ts";
import type { AppendWork, ApplyWork } from "../../../src/raft/ready.ts";
import { SyncNode } from "../../../src/raft/sync-node.ts";

class HistoryLog extends MemoryLog {
  history: Snapshot[] = [];

  override snapshot(): Snapshot | "unavailable" {
    return this.history.at(-1) ?? "unavailable";
  }
}

/** An error in terms of the transcript: its text is printed, nothing else happens. */
export class DirectiveError extends Error {}

export interface MemberSettings {
  readonly options: Omit<RaftOptions, "storage">;
  readonly start: Snapshot;
  readonly bootstrap: boolean;
  readonly asyncWrites: boolean;
}

export class Member {
  readonly id: NodeId;
  readonly storage = new HistoryLog();
  appendWork: AppendWork[] = [];
  applyWork: ApplyWork[] = [];
  readonly #settings: MemberSettings;
  #sync: SyncNode | undefined;
  #node: RaftNode;

  constructor(settings: MemberSettings) {
    this.id = settings.options.id;
    this.#settings = settings;
    if (settings.bootstrap) this.storage.installSnapshot(settings.start);
    this.storage.history = [settings.start];
    this.#node = this.#start(settings.bootstrap ? settings.start.index : 0);
  }

  get node(): RaftNode {
    return this.#node;
  }

  #start(applied: number): RaftNode {
    const options: RaftOptions = { ...this.#settings.options, storage: this.storage, applied };
    if (this.#settings.asyncWrites) return new RaftNode(options);
    this.#sync = new SyncNode(options);
    return this.#sync.node;
  }

  /** Loses what was not written. The state machine, with its configuration, is as durable as the log. */
  restart(): void {
    this.appendWork = [];
    this.applyWork = [];
    const state = must(this.storage.history.at(-1), "the history starts with a snapshot");
    this.storage.saveSnapshot(state);
    this.#node = this.#start(state.index);
  }

  /** Handles one batch of work. Returns the messages that leave at once. */
  processReady(write: (text: string) => void): readonly Message[] {
    if (this.#sync === undefined) {
      const ready = this.#node.takeReady();
      write(describeReady(this.id, ready));
      if (ready.append !== undefined) this.appendWork.push(ready.append);
      if (ready.apply !== undefined) this.applyWork.push(ready.apply);
      return ready.messages;
    }
    const batch = this.#sync.take();
    write(describeBatch(batch));
    this.#persist(batch.hard, batch.entries, batch.snapshot);
    this.#apply(batch.committed);
    return batch.messages;
  }

  /** Ends the batch of a member without asynchronous writes, after its messages were sent. */
  finishReady(): void {
    this.#sync?.advance();
  }

  processAppend(write: (text: string) => void): readonly Message[] {
    const work = this.appendWork.shift();
    if (work === undefined) {
      write("no append work to perform");
      return [];
    }
    const done = appendedMessage(this.id, work);
    const responses = done === undefined ? work.after : [...work.after, done];
    return this.#process(write, { ...appendWorkMessage(this.id, work), responses }, () =>
      this.#persist(work.hard, work.entries, work.snapshot),
    );
  }

  processApply(write: (text: string) => void): readonly Message[] {
    const work = this.applyWork.shift();
    if (work === undefined) {
      write("no apply work to perform");
      return [];
    }
    const message = applyWorkMessage(this.id, work);
    const responses = [appliedMessage(this.id, work.entries)];
    return this.#process(write, { ...message, responses }, () => this.#apply(work.entries));
  }

  #process(
    write: (text: string) => void,
    message: Message,
    perform: () => void,
  ): readonly Message[] {
    write(`Processing:\n${describeMessage({ ...message, responses: [] })}\n`);
    perform();
    write("Responses:\n");
    for (const response of message.responses) write(`${describeMessage(response)}\n`);
    return message.responses;
  }

  #persist(
    hard: HardState | undefined,
    entries: readonly Entry[],
    snapshot: Snapshot | undefined,
  ): void {
    if (hard !== undefined && !isEmptyHardState(hard)) this.storage.setHardState(hard);
    if (snapshot !== undefined && this.storage.installSnapshot(snapshot) === "outOfDate") {
      throw new DirectiveError("requested index is older than the existing snapshot");
    }
    this.storage.append(entries);
  }

  #apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const previous = must(this.storage.history.at(-1), "the history starts with a snapshot");
      let { conf } = previous;
      let update = entry.data;
      if (isConfChangeType(entry.type)) {
        const change = must(decodeConfChange(entry.data), "a committed change can be read");
        update = change.context;
        conf = this.#node.applyConfChange(entry) ?? conf;
      }
      const data = Uint8Array.from([...previous.data, ...update]);
      this.storage.history.push({ index: entry.index, term: entry.term, conf, data });
    }
  }
}
