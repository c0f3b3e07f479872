import type { ResultOf } from "../../../api/operation.ts";
import type { Operations } from "../../../api/operations.ts";
import { formatDuration } from "../../../base/time.ts";
import { command } from "../../_shared/command.ts";
import { printGrid } from "../../_shared/grid.ts";
import { printable } from "../../_shared/output.ts";
import { type PageAsked, pages } from "../../_shared/pages.ts";

type Incoming = ResultOf<Operations["listIncoming"]>["queues"][number];

export default command({
  examples: [
    { line: "corvo webhook incoming list", says: "Queues, and how calls to them are verified" },
  ],
  args: {},
  async run(_args, { client, output, signal }) {
    const all: Incoming[] = [];
    const ask = (query: PageAsked) => client().listIncoming({ query }, { signal });
    for await (const page of pages(ask)) all.push(...page.queues);
    if (output.json) {
      output.line(JSON.stringify({ queues: all }));
      return undefined;
    }
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
