import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { parseTime } from "../../base/time.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { printGrid } from "../_shared/grid.ts";
import { count, formatAge, printable } from "../_shared/output.ts";
import { queuesArg } from "../_shared/queue-args.ts";

type Found = ResultOf<Operations["deadGroups"]>;

/** Without names, so many queues are asked: those with the most dead jobs. */
const queuesMax = 50;

export default command({
  details: [
    "Dead jobs by what went wrong: the class and the first line of the last error, with numbers and ids as *. Without names",
    "all queues that have dead jobs. A group's id goes into --error-group of `corvo jobs list` and `corvo queue redrive`.",
  ].join(" "),
  examples: [
    { line: "corvo jobs dead", says: "What went wrong, everywhere" },
    { line: "corvo jobs dead mail", says: "In one queue" },
  ],
  args: {
    queues: { ...queuesArg, required: false, description: "Names of queues. Default all." },
  },
  async run(args, context) {
    const { client, output, signal } = context;
    const names = args.queues.length > 0 ? args.queues : await queuesWithDead(context);
    const found: Found[] = [];
    for (const name of names) {
      found.push(await client().deadGroups({ params: { name } }, { signal }));
    }
    if (output.json) output.line(JSON.stringify(found.length === 1 ? found[0] : found));
    else print(context, found);
    return undefined;
  },
});

async function queuesWithDead({ client, log, signal }: Context): Promise<string[]> {
  const queues = (await client().listQueues({}, { signal })).filter(({ dead }) => dead > 0);
  queues.sort((one, other) => other.dead - one.dead);
  if (queues.length > queuesMax) {
    log.warn(`${queues.length} queues have dead jobs; these are the ${queuesMax} with the most`);
  }
  return queues.slice(0, queuesMax).map(({ name }) => name);
}

function print({ output, system }: Context, found: readonly Found[]): void {
  const all = found.flatMap(({ queue, groups }) => groups.map((group) => ({ queue, group })));
  if (output.quiet) {
    for (const { group } of all) output.line(group.id);
    return;
  }
  if (all.length === 0) {
    output.note("no job is dead");
    return;
  }
  all.sort((one, other) => other.group.count - one.group.count);
  const nowMs = system.clock.nowMs();
  const rows = all.map(({ queue, group }) => [
    group.id,
    printable(queue),
    String(group.count),
    formatAge(nowMs - (parseTime(group.last_at ?? "") ?? nowMs)),
    printable([group.error_class, group.error].filter((text) => text !== undefined).join(": ")),
    group.sample_job_id,
  ]);
  printGrid(output, ["GROUP", "QUEUE", "JOBS", "LAST", "ERROR", "SAMPLE"], rows);
  for (const { queue, jobs, exact } of found) {
    if (!exact) output.note(`${queue}: only the newest ${count(jobs, "dead job")} were looked at`);
  }
}
