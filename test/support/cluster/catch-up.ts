/**
 * How nodes come up to a state that is too large to be told from the log, and what that costs those who work meanwhile.
 * Three stories on one cluster: two nodes join a node under load; a follower comes back after the log has moved on; a node
 * joins a cluster that rests. After each, every node must hold every job that was acknowledged, as it was sent.
 */
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { must } from "../../../src/base/assert.ts";
import { JobLedger, listingProblems, sampleProblems } from "./catch-up-verify.ts";
import { Cluster, type ClusterNode, until } from "./cluster.ts";
import { type Phase, SteadyLoad } from "./steady-load.ts";

export interface CatchUpOptions {
  readonly jobs: number;
  readonly payloadBytes: number;
  /** Jobs added, and claimed from the long queue, each second. */
  readonly rate: number;
  /** Seconds of load before and after each story. */
  readonly calmSeconds: number;
  readonly logTail: number;
  readonly say: (sentence: string) => void;
}

export interface Snapshot {
  readonly madeBy: string;
  readonly index: number;
  readonly bytes: number;
}

export interface Story {
  readonly name: string;
  /** Seconds until what the story waits for, in the order in which it came. */
  readonly steps: readonly { readonly what: string; readonly seconds: number }[];
  readonly snapshots: readonly Snapshot[];
  readonly phases: readonly Phase[];
  readonly problems: readonly string[];
}

const longQueue = "long";
const liveQueue = "live";
const fillBatch = 5000;
const patienceMs = 300_000;

export async function catchUp(options: CatchUpOptions): Promise<Story[]> {
  await using cluster = await Cluster.create({ words: ["--log-tail", String(options.logTail)] });
  return await new CatchUp(cluster, options).tell();
}

class CatchUp {
  readonly #cluster: Cluster;
  readonly #options: CatchUpOptions;
  readonly #ledger: JobLedger;
  readonly #filler: string;
  #seenLog = new Map<ClusterNode, number>();

  constructor(cluster: Cluster, options: CatchUpOptions) {
    this.#cluster = cluster;
    this.#options = options;
    this.#ledger = new JobLedger();
    // Not one text for all: what a run of equal bytes costs says little about payloads.
    this.#filler = Array.from({ length: 64 }, (_, i) => (i * 2654435761).toString(36)).join("-");
  }

  async tell(): Promise<Story[]> {
    const { say } = this.#options;
    const first = await this.#cluster.add();
    await first.start();
    const startedMs = performance.now();
    await this.#fill(first);
    say(`${this.#options.jobs} jobs added in ${secondsSince(startedMs).toFixed(1)} s`);
    return [await this.#twoJoin(first), await this.#oneReturns(), await this.#oneJoinsAtRest()];
  }

  async #fill(node: ClusterNode): Promise<void> {
    const { jobs } = this.#options;
    let next = 0;
    const fill = async () => {
      while (next < jobs) {
        const start = next;
        next = Math.min(jobs, start + fillBatch);
        const numbers = Array.from({ length: next - start }, (_, i) => start + i);
        const { job_ids: ids } = await node.json<{ job_ids: string[] }>(
          "POST",
          "/api/v1/enqueue/batch",
          { jobs: numbers.map((n) => ({ queue: longQueue, payload: this.#payload(n) })) },
        );
        numbers.forEach((n, at) => {
          this.#ledger.added(longQueue, n, must(ids[at], "each job has an id"));
        });
      }
    };
    await Promise.all([fill(), fill()]);
  }

  #payload(n: number): { n: number; text: string } {
    const { payloadBytes } = this.#options;
    const from = n % 200;
    let text = this.#filler.slice(from, from + payloadBytes);
    while (text.length < payloadBytes) text += this.#filler.slice(0, payloadBytes - text.length);
    return { n, text };
  }

  #twoJoin(first: ClusterNode): Promise<Story> {
    const shorten = async () => this.#shorten(Number((await first.status()).applied_index));
    return this.#underLoad(
      "two nodes join a node under load",
      async (step) => {
        const nodes = [await this.#cluster.add(), await this.#cluster.add()];
        await Promise.all(nodes.map((node) => node.spawn().listening));
        step("both listen");
        for (const voters of [2, 3]) {
          await until(
            `${voters} voters`,
            async () => {
              const { nodes: members } = await first.status();
              return members.filter(({ voter }) => voter).length >= voters;
            },
            patienceMs,
          );
          step(`${voters} voters`);
        }
        await this.#reach(nodes);
        step("both have applied what was there then");
      },
      shorten,
    );
  }

  #oneReturns(): Promise<Story> {
    const { say } = this.#options;
    let away: ClusterNode | undefined;
    const leave = async () => {
      const [follower] = await this.#cluster.followers();
      away = must(follower, "there is a follower");
      const leftAt = Number((await away.status()).applied_index);
      await away.stop();
      await this.#shorten(leftAt);
      say(`${away.name} left at entry ${leftAt}, and the log begins after it now`);
    };
    const name = "a follower returns after the log has moved on";
    return this.#underLoad(
      name,
      async (step) => {
        const node = must(away, "a follower left");
        await node.start();
        step("it listens");
        await this.#reach([node]);
        step("it has applied what was there when it came");
      },
      leave,
    );
  }

  async #oneJoinsAtRest(): Promise<Story> {
    const leader = await this.#cluster.settled(3);
    await this.#cluster.level();
    // Stored by a listing, and then nothing happens any more: the log is as short as it gets.
    await leader.json("POST", "/api/v1/jobs/search", { queue: liveQueue, limit: 1 });
    await Bun.sleep(2000);
    const { steps, step } = stopwatch();
    const node = await this.#cluster.add();
    await node.start();
    step("it listens");
    await until(
      "it votes",
      async () => (await leader.status()).nodes.at(-1)?.voter === true,
      patienceMs,
    );
    step("4 voters");
    await this.#cluster.level();
    step("all have applied the same");
    const snapshots = this.#snapshots();
    this.#options.say("comparing the listings of all nodes");
    const problems = [
      ...(await sampleProblems(this.#cluster.nodes, this.#ledger, (n) => this.#payload(n))),
      ...(await listingProblems(this.#cluster.nodes, this.#ledger)),
    ];
    const name = "a node joins a cluster at rest";
    return { name, steps, snapshots, phases: [], problems };
  }

  /** The load runs before, during and after what happens; then every node is looked at. */
  async #underLoad(
    name: string,
    happen: (step: (what: string) => void) => Promise<void>,
    before: () => Promise<void>,
  ): Promise<Story> {
    const { say, rate } = this.#options;
    const calmMs = this.#options.calmSeconds * 1000;
    await before();
    say(name);
    const leader = await this.#cluster.leader();
    const load = new SteadyLoad({
      url: leader.url,
      rate,
      liveQueue,
      longQueue,
      first: this.#ledger.countOf(liveQueue),
      payload: (n) => this.#payload(n),
      onEnqueued: (n, id) => this.#ledger.added(liveQueue, n, id),
      onAcked: (queue, n, id) => this.#ledger.acked(queue, n, id),
    });
    this.#snapshots();
    // What a process does for the first time is slow for reasons of its own.
    await load.start("warm-up");
    await Bun.sleep(2000);
    load.next("before");
    await Bun.sleep(calmMs);
    const phases = [load.next("during")];
    const { steps, step } = stopwatch();
    await happen((what) => {
      step(what);
      say(`  ${what}`);
    });
    phases.push(load.next("after"));
    await Bun.sleep(calmMs);
    phases.push(load.next("end"));
    await load.stop(20_000);
    await this.#cluster.level(patienceMs);
    const problems = [
      ...load.problems.slice(0, 20),
      ...(await sampleProblems(this.#cluster.running, this.#ledger, (n) => this.#payload(n))),
    ];
    return { name, steps, snapshots: this.#snapshots(), phases, problems };
  }

  /** Until the leader's log begins after this entry: whoever has no more than that needs the whole state. */
  async #shorten(index: number): Promise<void> {
    const leader = await this.#cluster.leader();
    await until(
      `the log begins after entry ${index}`,
      async () => {
        await this.#write(leader, 100);
        // A listing stores the state, and the log lets go of what is stored.
        await leader.json("POST", "/api/v1/jobs/search", { queue: liveQueue, limit: 1 });
        return firstIndex(leader) > index + 1;
      },
      patienceMs,
    );
  }

  /** Three entries a job. */
  async #write(node: ClusterNode, calls: number): Promise<void> {
    for (let i = 0; i < calls; i++) {
      const n = this.#ledger.countOf(liveQueue);
      const added = await node.json<{ job_id: string }>("POST", "/api/v1/enqueue", {
        queue: liveQueue,
        payload: this.#payload(n),
      });
      this.#ledger.added(liveQueue, n, added.job_id);
      const pushed = await node.json<{ job_id: string; lease_token: string }>(
        "POST",
        "/api/v1/fetch",
        { queues: [liveQueue], worker_id: "writer" },
      );
      await node.json("POST", `/api/v1/ack/${pushed.job_id}`, { lease_token: pushed.lease_token });
      this.#ledger.acked(liveQueue, n, pushed.job_id);
    }
  }

  /** Until these nodes have applied what the leader has committed by now. */
  async #reach(nodes: readonly ClusterNode[]): Promise<void> {
    const target = Number((await (await this.#cluster.leader()).status()).commit_index);
    for (const node of nodes) {
      await until(
        `${node.name} has applied entry ${target}`,
        async () => Number((await node.status()).applied_index) >= target,
        patienceMs,
      );
    }
  }

  /** Those made since it was last asked, from the logs of the nodes. */
  #snapshots(): Snapshot[] {
    return this.#cluster.nodes.flatMap((node) => {
      const { said } = node;
      const lines = said.slice(this.#seenLog.get(node) ?? 0).split("\n");
      this.#seenLog.set(node, said.length);
      return lines
        .filter((line) => line.includes('"made a snapshot"'))
        .map((line) => {
          const { index, bytes } = JSON.parse(line) as { index: number; bytes: number };
          return { madeBy: node.name, index, bytes };
        });
    });
  }
}

function stopwatch() {
  const startedMs = performance.now();
  const steps: { what: string; seconds: number }[] = [];
  const step = (what: string) => {
    steps.push({ what, seconds: secondsSince(startedMs) });
  };
  return { steps, step };
}

function secondsSince(startedMs: number): number {
  return (performance.now() - startedMs) / 1000;
}

/** First entry that the log of a node still has, from its own database. */
function firstIndex(node: ClusterNode): number {
  using log = new Database(join(node.dataDir, "log.db"), { readonly: true });
  return log.query<{ id: number }, []>("SELECT min(id) AS id FROM log_0").get()?.id ?? 0;
}
