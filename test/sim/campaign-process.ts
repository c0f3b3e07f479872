/** A process of a campaign: it is sent the options of one run after the other, and sends back what became of each. */
import { Simulation, type SimulationOptions } from "./simulation.ts";

process.on("message", (options: SimulationOptions) => {
  process.send?.(new Simulation(options).run());
});
// Ctrl-C reaches all processes of a terminal; the campaign's decides.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit());
