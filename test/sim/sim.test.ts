/**
 * A fixed batch of simulated clusters, and the seeds that once found a bug. A failure prints what `npm run sim` needs to
 * show the same run again.
 */
import { expect, test } from "bun:test";
import { describe as sentence } from "./shrink.ts";
import { Simulation, type SimulationOptions } from "./simulation.ts";

function clean(options: SimulationOptions): void {
  const result = new Simulation(options).run();
  expect(result.problem === undefined ? "clean" : sentence(result)).toBe("clean");
}

const steps = 1000;

for (const nodes of [3, 4, 5]) {
  test(`a cluster of ${nodes} keeps its promises under all kinds of faults`, () => {
    for (let seed = 9000 + nodes; seed < 9012; seed += 3) clean({ seed, steps, nodes });
  }, 60_000);
}

/** Each of these runs failed once, and fails again when its bug is put back. */
const foundBugs: readonly (SimulationOptions & { says: string })[] = [
  {
    says: "a write that is tried again does not store the commit index of a later one",
    seed: 8,
    steps: 800,
    nodes: 3,
    faults: ["crash", "slowDisk", "brokenDisk", "overload"],
  },
  {
    says: "no write passes one that was refused before it",
    seed: 55,
    steps: 800,
    nodes: 3,
    faults: ["crash", "fullDisk", "brokenDisk", "overload", "slowDisk", "delay"],
  },
];

for (const { says, ...options } of foundBugs) {
  test(`${says} (seed ${options.seed})`, () => clean(options), 30_000);
}

test("the same seed gives the same run, event by event", () => {
  const options: SimulationOptions = { seed: 77, steps: 400, nodes: 3 };

  const [one, other] = [new Simulation(options).run(), new Simulation(options).run()];

  expect(other.fingerprint).toBe(one.fingerprint);
  expect(other.counts).toEqual(one.counts);
  expect(one.entries).toBeGreaterThan(50);
}, 30_000);
