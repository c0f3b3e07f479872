import { formatDuration } from "../../base/time.ts";
import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { printable } from "../_shared/output.ts";

export default command({
  examples: [{ line: "corvo subscription list", says: "Those that have not ended" }],
  args: {},
  async run(_args, { client, output, signal }) {
    if (output.json) {
      output.line(await client().text("listSubscriptions", {}, { signal }));
      return undefined;
    }
    const all = await client().listSubscriptions({}, { signal });
    if (output.quiet) {
      for (const { id } of all) output.line(id);
      return undefined;
    }
    if (all.length === 0) {
      output.note("no subscription; `corvo subscription set` makes one");
      return undefined;
    }
    printGrid(
      output,
      ["SUBSCRIPTION", "MODE", "EVERY", "ENDS", "QUEUES", "URL"],
      all.map((one) => [
        one.id,
        printable(one.group === undefined ? one.mode : `${one.mode} ${one.group}`),
        formatDuration(one.min_interval_ms),
        one.expires_at,
        printable(one.queues.join(" ")),
        printable(one.url),
      ]),
    );
    return undefined;
  },
});
