import { formatDuration } from "../../../base/time.ts";
import { command } from "../../_shared/command.ts";
import { printGrid } from "../../_shared/grid.ts";
import { printable } from "../../_shared/output.ts";

export default command({
  examples: [
    { line: "corvo webhook incoming list", says: "Queues, and how calls to them are verified" },
  ],
  args: {},
  async run(_args, { client, output, signal }) {
    if (output.json) {
      output.line(await client().text("listIncoming", {}, { signal }));
      return undefined;
    }
    const all = await client().listIncoming({}, { signal });
    if (output.quiet) {
      for (const { queue } of all) output.line(printable(queue));
      return undefined;
    }
    if (all.length === 0) {
      output.note("no queue expects anything; `corvo webhook incoming set` changes that");
      return undefined;
    }
    printGrid(
      output,
      ["QUEUE", "SCHEME", "TOLERANCE", "ID HEADER", "TAG HEADERS"],
      all.map((one) => [
        printable(one.queue),
        one.scheme,
        formatDuration(one.tolerance_ms),
        one.id_header ?? "-",
        one.tag_headers.join(" "),
      ]),
    );
    return undefined;
  },
});
