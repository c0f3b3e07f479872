/**
 * Directives that act on a whole cluster: create nodes, move messages, tick, propose, look at state.
 * Each line of the table below is one directive; `stabilize` runs them to rest.
 */
import { parseNodeChanges, type Transition } from "../../../src/raft/conf-change.ts";
import type { RaftConfig, ReadMode } from "../../../src/raft/config.ts";
import { describeEntries, describeMessage, roleNames } from "../../../src/raft/describe.ts";
import { emptySnapshot } from "../../../src/raft/memory-log.ts";
import {
  createMessage,
  emptyData,
  type MessageType,
  type NodeId,
  type Snapshot,
  unbounded,
} from "../../../src/raft/message.ts";
import type { ProposeResult } from "../../../src/raft/node.ts";
import { isGap } from "../../../src/raft/storage.ts";
import { describeProgress } from "../../../src/raft/tracker.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import { Cluster, dropText } from "./cluster.ts";
import { DirectiveError } from "./member.ts";
import { Output } from "./output.ts";
import { type Argument, type Directive, withFollowing } from "./parse.ts";

/** The one directive whose input is not more directives. */
const inputCommand = "propose-conf-change";

type Handler = (environment: InteractionEnvironment, directive: Directive) => void;

/** Settings of a new node: nothing is limited and nothing is switched on unless asked for. */
const plainSettings = {
  electionTicks: 3,
  heartbeatTicks: 1,
  messageBytesMax: unbounded,
  uncommittedBytesMax: unbounded,
  inflightMessagesMax: 2 ** 31 - 1,
  inflightBytesMax: unbounded,
  checkQuorum: false,
  preVote: false,
  forwardProposals: true,
  stepDownOnRemoval: false,
} as const satisfies Partial<RaftConfig>;

const numericSettings: Record<string, keyof RaftConfig> = {
  "election-tick": "electionTicks",
  "heartbeat-tick": "heartbeatTicks",
  inflight: "inflightMessagesMax",
  "max-committed-size-per-ready": "applyingBytesMax",
  "max-message-bytes": "messageBytesMax",
  "max-inflight-bytes": "inflightBytesMax",
  "max-uncommitted-bytes": "uncommittedBytesMax",
  "max-pending-reads": "pendingReadsMax",
};

const switchSettings: Record<string, keyof RaftConfig> = {
  prevote: "preVote",
  checkquorum: "checkQuorum",
  "step-down-on-removal": "stepDownOnRemoval",
  "forward-proposals": "forwardProposals",
};

export class InteractionEnvironment {
  readonly output = new Output();
  readonly cluster = new Cluster(this.output);

  run(directive: Directive): string {
    const outputs = directivesOf(directive).map((each) => this.#run(each).replace(/\n$/, ""));
    return outputs.filter((output) => output !== "").join("\n") || "ok";
  }

  #run(directive: Directive): string {
    const handler = handlers[directive.command];
    if (handler === undefined) return `unknown command ${directive.command}`;
    this.output.take();
    try {
      handler(this, directive);
    } catch (error) {
      if (!(error instanceof DirectiveError)) throw error;
      return this.output.isQuiet ? error.message : this.output.take() + error.message;
    }
    return this.output.take();
  }
}

export function isInteraction(directive: Directive): boolean {
  return directivesOf(directive).every(({ command }) => command in handlers);
}

function directivesOf(directive: Directive): Directive[] {
  return directive.command === inputCommand ? [directive] : withFollowing(directive);
}

const handlers: Record<string, Handler> = {
  _breakpoint: () => {},
  "add-nodes": addNodes,
  campaign: ({ cluster }, { args }) => cluster.member(firstId(args)).node.campaign(),
  compact,
  "deliver-msgs": deliverMessages,
  "forget-leader": ({ cluster }, { args }) => cluster.member(firstId(args)).node.forgetLeader(),
  "log-level": ({ output }, { args }) => {
    const problem = output.setLevel(args[0]?.key ?? "");
    if (problem !== undefined) throw new DirectiveError(problem);
  },
  "process-append-thread": forEachNode("processing append thread", (cluster, id) =>
    cluster.processAppend(id),
  ),
  "process-apply-thread": forEachNode("processing apply thread", (cluster, id) =>
    cluster.processApply(id),
  ),
  "process-ready": forEachNode("handling Ready", (cluster, id) => cluster.processReady(id)),
  propose: ({ cluster }, { args }) => {
    const data = new TextEncoder().encode(args[1]?.key ?? "");
    report(cluster.member(firstId(args)).node.propose([data]));
  },
  [inputCommand]: proposeConfChange,
  "raft-log": printLog,
  "raft-state": printState,
  "read-index": ({ cluster, output }, { args }) => {
    const result = cluster.member(firstId(args)).node.readIndex(Number(args[1]?.key));
    if (result.kind === "dropped") output.write(`read dropped: ${result.reason}\n`);
  },
  "report-snapshot": ({ cluster }, { args }) => {
    const [on = 0, about = 0] = nodeIds(args);
    cluster.member(on).node.reportSnapshot(about, settingOf(args, "status") !== "failed");
  },
  "report-unreachable": ({ cluster }, { args }) => {
    const [on = 0, about = 0] = nodeIds(args);
    cluster.member(on).node.reportUnreachable(about);
  },
  restart: ({ cluster }, { args }) => cluster.member(firstId(args)).restart(),
  "send-snapshot": sendSnapshot,
  "set-randomized-election-timeout": ({ cluster }, { args }) => {
    const { state } = cluster.member(firstId(args)).node;
    state.randomizedElectionTicks = Number(settingOf(args, "timeout"));
  },
  stabilize,
  status: ({ cluster, output }, { args }) => {
    const { role, tracker } = cluster.member(firstId(args)).node.state;
    if (role === "leader") output.write(describeProgress(tracker.progress));
  },
  tick: ({ cluster }, { args }) => tick(cluster, args, Number(args[1]?.key)),
  "tick-election": ({ cluster }, { args }) =>
    tick(cluster, args, cluster.member(firstId(args)).node.state.config.electionTicks),
  "tick-heartbeat": ({ cluster }, { args }) =>
    tick(cluster, args, cluster.member(firstId(args)).node.state.config.heartbeatTicks),
  "transfer-leadership": ({ cluster }, { args }) => {
    const from = cluster.member(Number(settingOf(args, "from")));
    from.node.transferLeadership(Number(settingOf(args, "to")));
  },
};

function nodeIds(args: readonly Argument[]): NodeId[] {
  return args.filter(({ values }) => values.length === 0).map(({ key }) => Number(key));
}

function firstId(args: readonly Argument[]): NodeId {
  return Number(args[0]?.key);
}

function settingOf(args: readonly Argument[], key: string): string | undefined {
  return args.find((arg) => arg.key === key)?.values[0];
}

function tick(cluster: Cluster, args: readonly Argument[], count: number): void {
  for (let done = 0; done < count; done += 1) cluster.member(firstId(args)).node.tick();
}

function report(result: ProposeResult): void {
  if (result.kind !== "dropped") return;
  throw new DirectiveError(dropText(result.reason, "MsgProp") ?? result.reason);
}

function forEachNode(header: string, action: (cluster: Cluster, id: NodeId) => void): Handler {
  return ({ cluster, output }, { args }) => {
    const ids = nodeIds(args);
    for (const id of ids) {
      if (ids.length === 1) {
        action(cluster, id);
      } else {
        output.write(`> ${id} ${header}\n`);
        output.indented(() => action(cluster, id));
      }
    }
  };
}

function addNodes({ cluster, output }: InteractionEnvironment, { args }: Directive): void {
  const settings: { -readonly [Key in keyof RaftConfig]?: RaftConfig[Key] } = {
    ...plainSettings,
    logger: output,
  };
  let start: Snapshot = emptySnapshot;
  let asyncWrites = false;
  for (const { key, values } of args.slice(1)) {
    const value = values[0] ?? "";
    const ids = values.map(Number);
    const numeric = numericSettings[key];
    const toggle = switchSettings[key];
    if (numeric !== undefined) Object.assign(settings, { [numeric]: Number(value) });
    else if (toggle !== undefined) Object.assign(settings, { [toggle]: value === "true" });
    else if (key === "disable-conf-change-validation")
      settings.validateConfChanges = value !== "true";
    else if (key === "async-storage-writes") asyncWrites = value === "true";
    else if (key === "read-only") settings.readMode = parseReadMode(value);
    else if (key === "voters") start = { ...start, conf: { ...start.conf, voters: ids } };
    else if (key === "learners") start = { ...start, conf: { ...start.conf, learners: ids } };
    else if (key === "index") start = { ...start, index: Number(value) };
    else if (key === "content") start = { ...start, data: new TextEncoder().encode(value) };
    else throw new DirectiveError(`unknown setting ${key}`);
  }
  const bootstrap = start !== emptySnapshot;
  if (bootstrap && start.index <= 1) {
    throw new DirectiveError("index must be specified as > 1 due to bootstrap");
  }
  if (bootstrap) start = { ...start, term: 1 };
  for (let count = Number(args[0]?.key); count > 0; count -= 1) {
    const id = cluster.members.length + 1;
    const options = { ...settings, id, random: new SeededRandom(id) };
    cluster.add({ options, start, bootstrap, asyncWrites });
  }
}

function parseReadMode(value: string): ReadMode {
  if (value === "safe") return "safe";
  if (value === "lease-based") return "lease";
  throw new DirectiveError(`invalid read-only option "${value}"`);
}

function compact({ cluster, output }: InteractionEnvironment, directive: Directive): void {
  const { storage } = cluster.member(firstId(directive.args));
  const gap = storage.compact(Number(directive.args[1]?.key));
  if (gap === "compacted") {
    throw new DirectiveError("requested index is unavailable due to compaction");
  }
  if (gap === "unavailable") throw new DirectiveError("requested entry at index is unavailable");
  printLog({ cluster, output }, directive);
}

function deliverMessages({ cluster, output }: InteractionEnvironment, { args }: Directive): void {
  const type = settingOf(args, "type") as MessageType | undefined;
  let count = 0;
  for (const { key, values } of args) {
    if (values.length === 0 && key !== "drop") count += cluster.deliver(Number(key), type, false);
    if (key === "drop") for (const id of values) count += cluster.deliver(Number(id), type, true);
  }
  if (count === 0) output.write("no messages\n");
}

const transitions: readonly string[] = ["auto", "implicit", "explicit"] satisfies Transition[];

function proposeConfChange({ cluster }: InteractionEnvironment, { args, input }: Directive): void {
  const isSingle = settingOf(args, "v1") === "true";
  const transition = settingOf(args, "transition") ?? "auto";
  if (!transitions.includes(transition))
    throw new DirectiveError(`unknown transition ${transition}`);
  const changes = parseNodeChanges(input);
  if (typeof changes === "string") throw new DirectiveError(changes);
  if (isSingle && (changes.length > 1 || transition !== "auto")) {
    throw new DirectiveError("v1 conf change can only have one operation and no transition");
  }
  const change = { transition: transition as Transition, changes, context: emptyData };
  const type = isSingle ? "EntryConfChange" : "EntryConfChangeV2";
  report(cluster.member(firstId(args)).node.proposeConfChange(change, type));
}

function printLog(
  { cluster, output }: Pick<InteractionEnvironment, "cluster" | "output">,
  { args }: Directive,
): void {
  const { storage } = cluster.member(firstId(args));
  const first = storage.firstIndex();
  const last = storage.lastIndex();
  if (last < first) {
    output.write(`log is empty: first index=${first}, last index=${last}`);
    return;
  }
  const entries = storage.entries(first, last + 1, unbounded);
  if (!isGap(entries)) output.write(describeEntries(entries));
}

function printState({ cluster, output }: InteractionEnvironment): void {
  for (const { id, node } of cluster.members) {
    const { role, term, leader, conf } = node.status();
    const isVoting = conf.voters.includes(id) || conf.votersOutgoing.includes(id);
    const voter = isVoting ? "(Voter)" : "(Non-Voter)";
    output.write(`${id}: ${roleNames[role]} ${voter} Term:${term} Lead:${leader}\n`);
  }
}

function sendSnapshot({ cluster, output }: InteractionEnvironment, { args }: Directive): void {
  const [from = 0, to = 0] = nodeIds(args);
  const { storage, node } = cluster.member(from);
  const snapshot = storage.snapshot();
  if (snapshot === "unavailable") throw new DirectiveError("snapshot is temporarily unavailable");
  const message = createMessage("MsgSnap", to, { from, term: node.state.term, snapshot });
  cluster.messages.push(message);
  output.write(describeMessage(message));
}

function stabilize({ cluster, output }: InteractionEnvironment, { args }: Directive): void {
  const ids = nodeIds(args);
  const level = settingOf(args, "log-level");
  const before = output.level;
  const problem = level === undefined ? undefined : output.setLevel(level);
  if (problem !== undefined) throw new DirectiveError(problem);
  try {
    cluster.stabilize(ids.length > 0 ? ids : cluster.members.map(({ id }) => id));
  } finally {
    output.level = before;
  }
}
