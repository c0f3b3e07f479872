/** Makes a failing run smaller: fewer steps, fewer kinds of faults, as long as it still fails. */
import { Simulation, type SimulationResult } from "./simulation.ts";

const runsMax = 40;

export function shrink(failed: SimulationResult): SimulationResult {
  let best = failed;
  let runs = 0;
  const attempt = (options: SimulationResult["options"]): boolean => {
    if (runs >= runsMax) return false;
    runs++;
    const result = new Simulation(options).run();
    if (result.problem === undefined) return false;
    best = result;
    return true;
  };
  attempt({ ...failed.options, faults: failed.faults, steps: Math.max(1, failed.step) });
  for (const kind of failed.faults) {
    attempt({ ...best.options, faults: best.faults.filter((other) => other !== kind) });
  }
  while (best.options.steps > 20) {
    const steps = Math.floor(best.options.steps * 0.7);
    if (!attempt({ ...best.options, faults: best.faults, steps })) break;
  }
  return best;
}

export function describe(result: SimulationResult): string {
  const { seed, steps, nodes } = result.options;
  const outcome = result.problem === undefined ? "clean" : result.problem;
  return `seed ${seed}, step ${result.step} of ${steps}, ${nodes} nodes, faults ${result.faults.join(" ")}: ${outcome}`;
}
