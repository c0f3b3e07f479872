/** Nodes that form a cluster together: who founds it, and that never two do, whoever can reach whom. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { CorvoError } from "../../src/base/errors.ts";
import { checkExpect, Formation } from "../../src/commands/server/form.ts";
import type { MeetAnswer } from "../../src/service/cluster.ts";
import { memoryLogger } from "../support/system-ports.ts";

const uuidOf = (n: number) => `0000000${n}-0000-4000-8000-000000000000`;
const urlOf = (n: number) => `http://n${n}:8080`;

/** Nodes in one process; `links` says whose calls reach whom. */
class World {
  readonly nodes: Formation[] = [];
  readonly founded = new Map<number, string>();
  readonly lines: string[][] = [];
  links: (from: number, to: number) => boolean = () => true;
  nowMs = 0;
  readonly #expect: number;

  constructor(count: number, expectNodes: number) {
    this.#expect = expectNodes;
    for (let n = 0; n < count; n++) this.restart(n);
  }

  /** The node begins anew, with nothing on disk. */
  restart(n: number): void {
    const logger = memoryLogger();
    this.lines[n] = logger.lines;
    this.nodes[n] = new Formation({
      expect: this.#expect,
      uuid: uuidOf(n),
      clock: { nowMs: () => this.nowMs, monotonicMs: () => this.nowMs },
      logger,
      meet: async (url) => this.#meet(n, Number(/\d/.exec(url)?.[0])),
    });
  }

  #meet(from: number, to: number): MeetAnswer {
    if (!this.links(from, to)) throw new CorvoError("UNAVAILABLE", "no answer");
    const node = this.nodes[to];
    if (node === undefined) throw new CorvoError("UNAVAILABLE", "no answer");
    const clusterId = this.founded.get(to);
    const httpUrl = urlOf(to);
    if (clusterId !== undefined)
      return { uuid: uuidOf(to), httpUrl, clusterId, hasSecret: false, knows: [] };
    const request = { uuid: uuidOf(from), httpUrl: urlOf(from), peerAddress: "p:1" };
    return {
      ...node.answer({ ...request, expect: this.#expect }),
      httpUrl,
      clusterId,
      hasSecret: false,
    };
  }

  /** One round of one node; it founds or joins as it decides. */
  async round(n: number): Promise<string> {
    if (this.founded.has(n)) return "member";
    const verdict = await this.nodes[n]?.round(this.nodes.map((_, i) => urlOf(i)));
    if (verdict?.kind === "found") this.founded.set(n, `cluster of ${n}`);
    if (verdict?.kind === "join") {
      const member = Number(/\d/.exec(verdict.urls[0] ?? "")?.[0]);
      this.founded.set(n, this.founded.get(member) ?? "none");
    }
    return verdict?.kind ?? "none";
  }
}

test("the node with the lowest uuid founds the cluster once all have met, and the others join it", async () => {
  const world = new World(3, 3);
  const verdicts: string[] = [];
  for (const n of [0, 2, 0, 1, 2, 0, 2, 1, 0]) verdicts.push(`${n} ${await world.round(n)}`);

  expect(verdicts).toEqual([
    // The others have not met everybody themselves before.
    "0 wait",
    "2 wait",
    "0 wait",
    "1 wait",
    "2 wait",
    "0 found",
    "2 join",
    "1 join",
    "0 member",
  ]);
  expect(new Set(world.founded.values())).toEqual(new Set(["cluster of 0"]));
  expect(world.lines[1]).toEqual([
    `waiting for 3 nodes, have 3: this one and ${urlOf(0)}, ${urlOf(2)}`,
  ]);
});

test("nobody founds a cluster while one can be reached", async () => {
  const world = new World(5, 3);
  world.founded.set(4, "an old one");

  for (let n = 0; n < 4; n++) expect(await world.round(n)).toBe("join");
});

test("too few wait, and say for whom", async () => {
  const world = new World(3, 3);
  world.links = (_, to) => to !== 2;
  for (let i = 0; i < 5; i++) for (const n of [0, 1]) expect(await world.round(n)).toBe("wait");

  expect(world.nodes[0]?.phase).toBe(`waiting for 3 nodes, have 2: this one and ${urlOf(1)}`);
});

test("a node that was met lately and is away now may have founded one: it is waited for", async () => {
  const world = new World(5, 3);
  await world.round(1);
  world.links = (from, to) => from !== 0 && to !== 0;
  const rounds = async () => {
    for (let i = 0; i < 3; i++) for (const n of [1, 2, 3, 4]) await world.round(n);
  };

  await rounds();
  expect(world.founded.size).toBe(0);
  world.nowMs += 31_000;
  await rounds();
  expect(new Set(world.founded.values())).toEqual(new Set(["cluster of 1"]));
});

test("another --expect is told, and not counted", async () => {
  const world = new World(2, 2);
  const node = new World(2, 3).nodes[1];
  if (node !== undefined) world.nodes[1] = node;

  expect(await world.round(0)).toBe("wait");
  await world.round(0);

  expect(world.lines[0]?.filter((line) => line.includes("expects"))).toEqual([
    `${urlOf(1)} was met: node ${uuidOf(0)} at ${urlOf(0)} expects 2 nodes, and node ${uuidOf(1)} expects 3`,
  ]);
});

test("fewer than half of the addresses are too few to expect", () => {
  expect(() => checkExpect(2, 4)).toThrow("--expect 2 of 4 addresses");
  expect(() => checkExpect(3, 5)).not.toThrow();
});

const count = 5;
/** Rounds of some nodes while calls between others do not get through, in one direction or in both. */
const phase = (passMs: fc.Arbitrary<number>) =>
  fc.record({
    rounds: fc.array(fc.nat(count - 1), { maxLength: 15 }),
    cut: fc.array(fc.tuple(fc.nat(count - 1), fc.nat(count - 1)), { maxLength: 8 }),
    isOneWay: fc.boolean(),
    passMs,
  });
type Phase = typeof phase extends (...args: never) => fc.Arbitrary<infer T> ? T : never;

async function play(world: World, phases: readonly Phase[]): Promise<number> {
  let founders = 0;
  for (const { rounds, cut, isOneWay, passMs } of phases) {
    const isCut = (from: number, to: number) => cut.some(([a, b]) => a === from && b === to);
    world.links = (from, to) => from === to || !(isCut(from, to) || (!isOneWay && isCut(to, from)));
    world.nowMs += passMs;
    for (const node of rounds) if ((await world.round(node)) === "found") founders++;
  }
  return founders;
}

test("whoever reaches whom and whenever, there are no two founders as long as they remember each other", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(phase(fc.constantFrom(0, 500, 3000)), { maxLength: 8 }),
      async (played) => {
        const world = new World(count, 3);
        expect(await play(world, played)).toBeLessThanOrEqual(1);
      },
    ),
    { numRuns: 3000 },
  );
});

test("once all reach each other, all belong to a cluster", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(phase(fc.constantFrom(0, 500, 40_000)), { maxLength: 8 }),
      async (played) => {
        const world = new World(count, 3);
        await play(world, played);
        world.links = () => true;
        for (let i = 0; i < 4; i++) for (let n = 0; n < count; n++) await world.round(n);
        expect(world.founded.size).toBe(count);
      },
    ),
    { numRuns: 300 },
  );
});
