/**
 * The parts of the program that one process is made of, wired as the server wires them, over a simulated log, store, clock
 * and network. What the process does to the world around it goes through its host.
 */
import type { Logger } from "../../src/base/ports.ts";
import type { JobSearch } from "../../src/engine/query.ts";
import type { ConfState, Entry, Message, NodeId } from "../../src/raft/message.ts";
import { ClaimRates } from "../../src/replica/claim-rates.ts";
import { Claims } from "../../src/replica/claims.ts";
import { Courier } from "../../src/replica/courier.ts";
import { Group, type GroupOptions } from "../../src/replica/group.ts";
import { Membership } from "../../src/replica/membership.ts";
import { Planner } from "../../src/replica/planner.ts";
import type { Consensus } from "../../src/replica/ports.ts";
import { defaultReplicaOptions, Replica } from "../../src/replica/replica.ts";
import { Snapshots } from "../../src/replica/snapshots.ts";
import { Sweeper } from "../../src/replica/sweeper.ts";
import { dueTimes } from "../../src/service/timetable.ts";
import { below, type SeededRandom } from "../support/seeded-random.ts";
import type { SimLog } from "./disk.ts";
import { describeMachine, type World } from "./machine.ts";
import type { SimStore, StateImage } from "./stored-state.ts";
import { type MachineClock, processTimers } from "./virtual-time.ts";
import { drawAnswer } from "./workload-webhooks.ts";

export interface Process {
  readonly log: SimLog;
  readonly store: SimStore;
  readonly group: Group;
  readonly replica: Replica;
  readonly membership: Membership;
  readonly claims: Claims;
  readonly planner: Planner;
  readonly sweeper: Sweeper;
  readonly courier: Courier;
  readonly snapshots: Snapshots;
  readonly made: Map<string, StateImage>;
}

/** What the process asks of its machine. */
export interface ProcessHost {
  readonly id: NodeId;
  readonly uuid: string;
  readonly world: World;
  readonly clock: MachineClock;
  readonly random: SeededRandom;
  /** Does something in this process, if it is still there: at once, or when it is resumed. */
  readonly enter: (work: () => void) => void;
  readonly send: (to: NodeId, messages: readonly Message[]) => void;
  readonly sendSnapshot: (to: NodeId, message: Message, done: (ok: boolean) => void) => void;
  readonly onFatal: () => void;
}

const tickMs = 50;
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** Nothing runs yet. */
export function createProcess(host: ProcessHost, log: SimLog, store: SimStore): Process {
  const { id, world, clock, random } = host;
  const { oracle, events, settings } = world;
  const { checkpointMs } = settings;
  const timers = processTimers(events, clock, host.enter);
  const parts = { timers, random, logger: silent };
  const made = new Map<string, StateImage>();
  const replica: Replica = new Replica(
    {
      ...parts,
      clock,
      store,
      onStored: (index) => {
        const { neededAfter } = snapshots;
        const through = Math.min(index - settings.logTailEntries, neededAfter);
        if (through > 0) log.compact(0, through);
      },
      onFatal: host.onFatal,
      onEffects: (effects) => {
        for (const queue of effects.readyQueues) claims.wake(queue);
        planner.onEffects(effects);
        sweeper.onEffects(effects);
        courier.onEffects(effects);
      },
    },
    { ...defaultReplicaOptions, checkpointMs, quietCheckpointMs: checkpointMs },
  );
  const group = new Group(
    {
      ...parts,
      log,
      send: host.send,
      sendSnapshot: host.sendSnapshot,
      onEntry: (entry) => apply(host, { replica, store }, entry),
      onConf: (conf, entry) => {
        if (group.state.role === "leader") checkKnown(world, entry.index, replica.conf, conf);
        replica.applyConf(conf, entry.index);
        membership.confChanged();
        oracle.confApplied(entry.index, conf);
        oracle.applied(id, entry, store.state.digest);
      },
      onSoft: (soft) => {
        if (soft.role === "leader") oracle.leads(id, group.state.term);
        replica.leadershipChanged();
        membership.confChanged();
      },
      onLogFault: (fault) => replica.logFailed(fault),
      onLogRecovered: () => replica.logRecovered(),
    },
    groupOptions(host, store),
  );
  replica.attach(askingForSnapshots(group, { replica, random }));
  const membership = createMembership(host, { ...parts, group, replica });
  const claims = new Claims(replica, timers, new ClaimRates(() => host.clock.monotonicMs()));
  const planner = new Planner({ ...parts, replica, dueTimes });
  const sweeper = new Sweeper({ ...parts, clock, replica, search: searchOf(store) });
  const courier = createCourier(host, { ...parts, replica });
  group.whenReady(() => {
    courier.lead();
    planner.lead();
    sweeper.lead();
  });
  const snapshots = new Snapshots({
    timers,
    logger: silent,
    storage: group.storage,
    make: () => makeSnapshot(host, { replica, store, made }),
    remove: (path) => made.delete(path),
  });
  const duties = { planner, sweeper, courier };
  return { log, store, group, replica, membership, claims, snapshots, made, ...duties };
}

/** Whoever proposes sends entries, and may find there that a member needs a snapshot: of the state as it is at that moment. */
function askingForSnapshots(
  group: Group,
  { replica, random }: { readonly replica: Replica; readonly random: SeededRandom },
): Consensus {
  return {
    get isReady() {
      return group.isReady;
    },
    get appliedIndex() {
      return group.appliedIndex;
    },
    readBarrier: () => group.readBarrier(),
    propose(data) {
      // A full disk is no news.
      if (below(random, 50) === 0) replica.storeState().catch(() => undefined);
      return group.propose(data);
    },
  };
}

/**
 * Where a majority of the new voters need not hold one of the old, whoever lets them count has to be sure that a majority
 * of them has it on disk that their change is decided.
 */
function checkKnown({ nodes, oracle }: World, index: number, before: ConfState, conf: ConfState) {
  const { voters } = conf;
  const isOdd = before.voters.length % 2 === 1;
  if (isOdd || voters.join() === before.voters.join()) return;
  const known = voters.filter((id) => {
    const node = nodes.get(id);
    // What a disk had before it was lost cannot be seen any more.
    if (node === undefined || node.isRefused) return true;
    const { log, state } = node.image;
    return Math.max(log.hardState.commit, state.point.index) >= index;
  });
  oracle.note("voterChanges");
  if (known.length * 2 > voters.length) return;
  oracle.report(`voters ${voters.join()} count, and only ${known.join()} know of index ${index}`);
}

/** Receivers take a while, and some try again. */
function createCourier(
  { world: { events, oracle }, random, clock, enter }: ProcessHost,
  parts: Pick<ConstructorParameters<typeof Courier>[0], "replica" | "timers" | "logger">,
): Courier {
  return new Courier({
    ...parts,
    clock,
    couriers: 1,
    send: (delivery) => {
      oracle.deliveries.sent(delivery);
      const answer = drawAnswer(random, delivery.attempts);
      return new Promise((resolve) => {
        events.after(1 + below(random, 200), () => enter(() => resolve(answer)));
      });
    },
  });
}

/** The part of a search that redrives and bulk actions need, over what is applied. */
function searchOf({ state }: SimStore): Pick<JobSearch, "seqs"> {
  return {
    seqs: async ({ queue, states, completedBeforeMs }, { afterSeq, beforeSeq, limit }) =>
      [...state.jobs.values()]
        .filter((job) => job.queue === queue && states?.includes(job.state) === true)
        .filter((job) => completedBeforeMs === undefined || job.finishedAtMs < completedBeforeMs)
        .map(({ seq }) => seq)
        .filter((seq) => seq > afterSeq && seq < beforeSeq)
        .toSorted((one, other) => one - other)
        .slice(0, limit),
  };
}

function groupOptions({ id, world }: ProcessHost, { stored }: SimStore): GroupOptions {
  const { electionTicks, heartbeatTicks, messageBytesMax, doze } = world.settings;
  return {
    group: 0,
    nodeId: id,
    tickMs,
    start: { applied: stored.index, conf: stored.conf },
    ...(doze === undefined ? {} : { doze }),
    raft: { electionTicks, heartbeatTicks, messageBytesMax },
  };
}

function createMembership(
  { id, uuid, clock }: ProcessHost,
  parts: Pick<
    ConstructorParameters<typeof Membership>[0],
    "group" | "replica" | "timers" | "logger"
  >,
): Membership {
  return new Membership(
    {
      ...parts,
      clock,
      others: [],
      lastContactMs: () => undefined,
      onMembers: () => {},
      // Nodes are found by their numbers here, and no record is ever wrong.
      announce: () => Promise.resolve(),
    },
    { ...describeMachine(uuid), id, clusterId: "simulated" },
  );
}

function apply(
  { id, world: { oracle } }: ProcessHost,
  { replica, store }: Pick<Process, "replica" | "store">,
  entry: Entry,
): void {
  store.state.onJob = undefined;
  store.state.onRecordPut = undefined;
  if (oracle.isFirst(entry.index)) {
    const { meta } = store.state;
    store.state.onJob = (previous, next) => oracle.jobChanges(meta.nowMs, previous, next);
    store.state.onRecordPut = (kind, key, value) =>
      oracle.recordChanges({ kind, key, value }, meta.nowMs);
  }
  const { nextEvent } = store.state.meta;
  replica.applyEntry(entry);
  oracle.events.applied(id, store.state, nextEvent);
  oracle.applied(id, entry, store.state.digest);
}

async function makeSnapshot(
  { world: { events }, enter }: ProcessHost,
  { replica, store, made }: Pick<Process, "replica" | "store" | "made">,
): Promise<{ path: string; bytes: number; index: number; conf: StateImage["point"]["conf"] }> {
  await replica.storeState();
  const image = store.storedImage;
  await new Promise<void>((resolve) => events.after(3, () => enter(resolve)));
  const path = String(image.point.index);
  made.set(path, image);
  return { path, bytes: 1, ...image.point };
}
