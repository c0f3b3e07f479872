/**
 * A fixed batch of simulated clusters, and the seeds that once found a bug. A failure prints what `npm run sim` needs to
 * show the same run again.
 */
import { expect, test } from "bun:test";
import { foundBugs } from "./found-bugs.ts";
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

for (const { says, bug: _, ...options } of foundBugs) {
  test(`${says} (seed ${options.seed})`, () => clean(options), 30_000);
}

test("the same seed gives the same run, event by event", () => {
  const options: SimulationOptions = { seed: 77, steps: 400, nodes: 3 };

  const [one, other] = [new Simulation(options).run(), new Simulation(options).run()];

  expect(other.fingerprint).toBe(one.fingerprint);
  expect(other.counts).toEqual(one.counts);
  expect(one.entries).toBeGreaterThan(50);
}, 30_000);
