import type { SimulationOptions } from "./simulation.ts";

/**
 * Each of these runs failed once. `npm run mutations` sees to it that it fails again when its bug is put back; where it does
 * not, another seed has to be found.
 */
export const foundBugs: readonly (SimulationOptions & { says: string; bug: string })[] = [
  {
    says: "a write that is tried again does not store the commit index of a later one",
    bug: "D17",
    seed: 34,
    steps: 800,
    nodes: 3,
    faults: ["crash", "slowDisk", "brokenDisk", "overload"],
  },
  {
    says: "no write passes one that was refused before it",
    bug: "D8",
    seed: 55,
    steps: 800,
    nodes: 3,
    faults: ["crash", "fullDisk", "brokenDisk", "overload", "slowDisk", "delay"],
  },
];
