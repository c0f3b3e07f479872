/**
 * `corvo jobs list`: the jobs that match, newest first, one line each. What clients sent is shown as text that cannot steer a
 * terminal; a payload that is bytes is named instead of shown.
 */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { parseTime } from "../../base/time.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { filterOf, listArgs } from "../_shared/filter-args.ts";
import { printGrid } from "../_shared/grid.ts";
import { count, formatAge, printable } from "../_shared/output.ts";
import { shownPayload } from "../_shared/shown-payload.ts";
import { paintState } from "../_shared/states.ts";

type Page = ResultOf<Operations["searchJobs"]>;

export default command({
  details:
    "FILTER is a filter as text (docs/reference/filters.md); the flags say the same in other words, and all of it must hold. Times of flags are RFC 3339, or durations that mean so long ago.",
  examples: [
    {
      line: "corvo jobs list 'state:dead queue:mail created<2h \"timed out\"'",
      says: "By a filter, with words to search for",
    },
    {
      line: "corvo jobs list 'payload.user.id=42 -state:completed sort:started'",
      says: "By a member of the payload",
    },
    { line: "corvo jobs list --queue mail --limit 20", says: "The newest jobs of a queue" },
    {
      line: "corvo jobs list --state dead,cancelled --created-after 24h",
      says: "What failed since yesterday",
    },
    {
      line: "corvo jobs list --tag customer=42 --payload-contains invoice",
      says: "By tag and by text of the payload",
    },
    {
      line: "corvo jobs list --state dead -q | corvo jobs retry -",
      says: "Ids only, for another command",
    },
  ],
  args: listArgs,
  async run(args, context) {
    const { output, signal } = context;
    const body = filterOf(args);
    if (output.json) {
      output.line(await context.client().text("searchJobs", { body }, { signal }));
      return undefined;
    }
    printPage(context, await context.client().searchJobs({ body }, { signal }));
    return undefined;
  },
});

function printPage(context: Context, page: Page): void {
  const { output, system } = context;
  if (output.quiet) {
    for (const job of page.jobs) output.line(job.id);
    return;
  }
  if (page.jobs.length === 0 && !page.has_more) {
    output.note("no job matches");
    return;
  }
  const nowMs = system.clock.nowMs();
  const rows = page.jobs.map((job) => [
    job.id,
    printable(job.queue),
    paintState(job.state, output.style),
    `${job.attempt}/${job.max_retries}`,
    String(job.priority),
    formatAge(nowMs - (parseTime(job.created_at) ?? nowMs)),
    printable(shownPayload(job)),
  ]);
  if (rows.length > 0)
    printGrid(output, ["ID", "QUEUE", "STATE", "TRY", "PRIO", "AGE", "PAYLOAD"], rows);
  const total = `${page.total_exact ? "" : "at least "}${count(page.total, "job")}`;
  const more = page.cursor === undefined ? "" : `; the next page: --cursor ${page.cursor}`;
  if (!page.indexed && page.has_more && page.jobs.length === 0) {
    output.note("none so far: this filter looks at jobs one by one");
  }
  if (page.has_more) output.note(`${page.jobs.length} of ${total}${more}`);
}
