/** One streaming connection to a node with three shards is one to a node with a single shard. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Claim, LentCredits } from "../../src/service/shards/lent-credits.ts";
import { type LiveServer, liveServer } from "../support/live-server.ts";
import { ManualTime, settle } from "../support/node-rig.ts";
import { type StreamClient, streamClient } from "../support/socket.ts";
import { spreadOverThree as spread } from "../support/spread.ts";

const shards = 3;

interface Pushed {
  readonly job_id: string;
  readonly queue: string;
  readonly lease_token: string;
  readonly attempt: number;
}

class Worker {
  readonly client: StreamClient;
  readonly jobs: Pushed[] = [];
  #id = 0;

  constructor(client: StreamClient) {
    this.client = client;
  }

  /** The answer to the frame; jobs that come before it are kept. */
  async ask(frame: object): Promise<Record<string, unknown>> {
    const id = ++this.#id;
    this.client.socket.send(JSON.stringify({ id, ...frame }));
    for (;;) {
      const message = await this.#next();
      if (message["id"] === id) return message;
    }
  }

  async until(count: number): Promise<Pushed[]> {
    while (this.jobs.length < count) await this.#next();
    return this.jobs.splice(0);
  }

  async #next(): Promise<Record<string, unknown>> {
    const message = await this.client.next();
    this.jobs.push(...((message["jobs"] as Pushed[] | undefined) ?? []));
    return message;
  }
}

describe("a connection", () => {
  let server: LiveServer;
  beforeAll(async () => {
    server = await liveServer({ shards });
  });
  afterAll(() => server.stop());
  const connect = async () => new Worker(await streamClient(server.url));

  test("[S16] answers a frame of several shards as one, each list in its order", async () => {
    const [a, b, c] = spread("frame");
    const worker = await connect();

    const added = await worker.ask({ enqueue: [c, a, b, a].map((queue) => ({ queue })) });
    const ids = (added["enqueue"] as Pushed[]).map(({ job_id }) => job_id);
    await worker.ask({ claim: { queues: [a, b, c], credits: 4 } });
    const jobs = await worker.until(4);
    const acks = jobs.map(({ job_id, lease_token }) => ({ job_id, lease_token }));
    const answer = await worker.ask({
      ack: [acks[0], { job_id: "nonsense", lease_token: "1" }, acks[1]],
      fail: [{ ...acks[2], error: "e" }],
      release: [acks[3]],
    });

    expect(ids.map((id) => Number.parseInt(id.slice(15, 18), 16))).toEqual([2, 0, 1, 0]);
    expect(jobs.map(({ job_id }) => job_id).toSorted()).toEqual(ids.toSorted());
    expect(answer).toMatchObject({
      ack: [
        { job_id: acks[0]?.job_id, status: "ok" },
        { job_id: "nonsense", code: "NOT_FOUND" },
        { job_id: acks[1]?.job_id, status: "ok" },
      ],
      fail: [{ job_id: acks[2]?.job_id, status: "retrying" }],
      release: [{ job_id: acks[3]?.job_id, status: "pending" }],
    });
    worker.client.socket.close();
  });

  test("[S16] refuses a frame with a bad item as a whole, whatever the shards of the others", async () => {
    const queues = spread("refuse");
    const worker = await connect();

    const answer = await worker.ask({
      enqueue: [...queues.map((queue) => ({ queue })), { queue: queues[0], delay: "soon" }],
    });

    expect(answer).toMatchObject({ code: "VALIDATION_ERROR" });
    expect(answer["enqueue"]).toBeUndefined();
    for (const queue of queues) {
      expect((await server.call("GET", `/api/v1/queues/${queue}`)).status).toBe(404);
    }
    worker.client.socket.close();
  });

  test("[S16] gives a worker with one credit the jobs of every shard, one at a time", async () => {
    const queues = spread("one");
    const worker = await connect();
    await worker.ask({
      enqueue: [0, 1, 2, 3, 4, 5].map((i) => ({ queue: queues[i % 3] })),
      claim: { queues, credits: 1 },
    });

    const seen: string[] = [];
    for (let i = 0; i < 6; i++) {
      const [job, ...more] = await worker.until(1);
      expect(more).toEqual([]);
      seen.push(job?.job_id ?? "");
      await worker.ask({
        ack: [{ job_id: job?.job_id, lease_token: job?.lease_token }],
        claim: { queues, credits: i < 5 ? 1 : 0 },
      });
    }

    expect(new Set(seen).size).toBe(6);
    worker.client.socket.close();
  });

  test("a worker that took its credits back gets nothing more from any shard", async () => {
    const queues = spread("stop");
    const worker = await connect();
    await worker.ask({ claim: { queues, credits: 5 } });
    await worker.ask({ claim: { queues, credits: 0 } });

    await worker.ask({ enqueue: queues.map((queue) => ({ queue })) });
    await worker.ask({});

    expect(worker.jobs).toEqual([]);
    await worker.ask({ claim: { queues, credits: 3 } });
    expect((await worker.until(3)).map(({ attempt }) => attempt)).toEqual([1, 1, 1]);
    worker.client.socket.close();
  });
});

describe("credits", () => {
  /** Three shards as a lender sees them; each takes credits and uses them for the jobs it is given. */
  class Shards {
    readonly time = new ManualTime();
    readonly credits = [0, 0, 0];
    readonly isDown = [false, false, false];
    readonly links = [0, 0, 0];
    readonly pushed = [0, 0, 0];
    readonly lender = new LentCredits({
      timers: this.time,
      shardOf: (queue) => Number(queue),
      claim: async (shard, claim: Claim) => {
        const link = this.links[shard];
        await settle();
        // What was on its way when the link went is lost with it.
        if (this.isDown[shard] === true || this.links[shard] !== link) return false;
        const had = this.credits[shard] ?? 0;
        this.credits[shard] = claim.credits === 0 ? 0 : had + claim.credits;
        return true;
      },
      letGo: (shard) => this.#endLink(shard),
    });

    /** A job comes in a shard: it is pushed if the shard has a credit. */
    job(shard: number): boolean {
      const credits = this.credits[shard] ?? 0;
      if (credits === 0 || this.isDown[shard] === true) return false;
      this.credits[shard] = credits - 1;
      this.pushed[shard] = (this.pushed[shard] ?? 0) + 1;
      this.lender.used(shard, 1);
      return true;
    }

    /** Within two seconds, looked at every few milliseconds. */
    async eventually(holds: () => boolean): Promise<boolean> {
      for (let i = 0; i < 250; i++) {
        if (holds()) return true;
        await this.time.pass(8);
        await settle();
      }
      return false;
    }

    breakLink(shard: number): void {
      this.isDown[shard] = true;
      this.#endLink(shard);
      this.lender.lost(shard);
    }

    #endLink(shard: number): void {
      this.links[shard] = (this.links[shard] ?? 0) + 1;
      this.credits[shard] = 0;
    }

    get out(): number {
      return this.credits.reduce((sum, one) => sum + one, 0);
    }
  }
  const queues = ["0", "1", "2"];

  test("a shard that has none gets those that lie idle elsewhere", async () => {
    const rig = new Shards();
    await rig.lender.add({ queues, credits: 3 });
    await settle();
    expect(rig.credits).toEqual([1, 1, 1]);

    for (let i = 0; i < 3; i++) expect(await rig.eventually(() => rig.job(0))).toBe(true);

    expect(rig.out).toBe(0);
  });

  test("a shard that cannot be reached keeps none, and gets some when it is back", async () => {
    const rig = new Shards();
    rig.isDown[1] = true;
    await rig.lender.add({ queues, credits: 4 });
    await settle();
    await settle();
    expect(rig.credits).toEqual([2, 0, 2]);

    rig.isDown[1] = false;
    await rig.time.pass(1000);
    await settle();

    expect(rig.credits[1]).toBeGreaterThan(0);
    expect(rig.out).toBe(4);
  });

  test("a shard that refuses one claim and takes the next has the credits of the next", async () => {
    const rig = new Shards();
    rig.isDown[0] = true;
    await rig.lender.add({ queues: ["0"], credits: 1 });
    // It becomes the leader after the first claim came, and before the second does.
    void settle().then(() => rig.isDown.fill(false));
    await rig.lender.add({ queues: ["0"], credits: 2 });
    await settle();
    await settle();
    expect(rig.credits).toEqual([2, 0, 0]);

    await rig.time.pass(1000);

    expect(rig.credits).toEqual([3, 0, 0]);
  });

  test("a shard that does not take the end of a claim is let go, since it would still send jobs", async () => {
    const rig = new Shards();
    await rig.lender.add({ queues: ["0"], credits: 2 });
    await settle();
    expect(rig.credits).toEqual([2, 0, 0]);

    rig.isDown[0] = true;
    await rig.lender.add({ queues: ["0"], credits: 0 });
    expect(rig.credits).toEqual([0, 0, 0]);

    rig.isDown[0] = false;
    await rig.lender.add({ queues: ["0"], credits: 1 });
    await rig.time.pass(1000);
    expect(rig.credits).toEqual([1, 0, 0]);
  });

  test("[S16] there are never more out than the worker gave, and none are lost, whatever happens in between", async () => {
    const action = fc.oneof(
      fc.record({ kind: fc.constant("add" as const), credits: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ kind: fc.constant("job" as const), shard: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ kind: fc.constant("down" as const), shard: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ kind: fc.constant("up" as const), shard: fc.integer({ min: 0, max: 2 }) }),
      fc.record({ kind: fc.constant("terms" as const), lease: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ kind: fc.constant("end" as const) }),
      fc.record({ kind: fc.constant("pass" as const), ms: fc.integer({ min: 1, max: 300 }) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 25 }), async (actions) => {
        const rig = new Shards();
        let given = 0;
        let lease = 1000;
        const ending: Promise<void>[] = [];
        for (const step of actions) {
          if (step.kind === "add" || step.kind === "terms") {
            const credits = step.kind === "add" ? step.credits : 1;
            if (step.kind === "terms") lease = step.lease * 1000;
            given += credits;
            ending.push(rig.lender.add({ queues, credits, lease_ms: lease }));
          } else if (step.kind === "job") {
            if (rig.job(step.shard)) given--;
          } else if (step.kind === "down") rig.breakLink(step.shard);
          else if (step.kind === "up") rig.isDown[step.shard] = false;
          else if (step.kind === "pass") await rig.time.pass(step.ms);
          else {
            given = 0;
            await rig.lender.add({ queues, credits: 0, lease_ms: lease });
            expect(rig.out).toBe(0);
          }
          expect(rig.out).toBeLessThanOrEqual(given);
        }
        rig.isDown.fill(false);
        await Promise.all(ending);
        // Some may be on their way from one shard to another at any moment.
        expect(await rig.eventually(() => rig.out === given)).toBe(true);
        rig.lender.close();
      }),
      // Rare orders of events matter, and a run takes ten microseconds.
      { numRuns: 20_000 },
    );
  });
});
