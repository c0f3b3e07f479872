import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { formatDuration } from "../../base/time.ts";
import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { printable } from "../_shared/output.ts";
import { type PageAsked, pages } from "../_shared/pages.ts";

type Subscription = ResultOf<Operations["listSubscriptions"]>["subscriptions"][number];

export default command({
  examples: [{ line: "corvo subscription list", says: "Those that have not ended" }],
  args: {},
  async run(_args, { client, output, signal }) {
    const all: Subscription[] = [];
    const ask = (query: PageAsked) => client().listSubscriptions({ query }, { signal });
    for await (const page of pages(ask)) all.push(...page.subscriptions);
    if (output.json) {
      output.line(JSON.stringify({ subscriptions: all }));
      return undefined;
    }
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
