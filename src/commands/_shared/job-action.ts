/**
 * One action on jobs, by id or by filter: the shape that retry, cancel, delete, move, hold, approve and reject share.
 *
 * One id is a plain call. Several ids, or a filter, are one bulk action. A filter may match more than the person thinks,
 * so its jobs are counted first and the count is part of the question. Large bulk actions go on in the server; the
 * command follows them to their end.
 *
 * A bulk call leaves ids out that no job has. A person who named them is told so, since a filter that was typed as an id would
 * otherwise look like one that matches nothing.
 */
import type { bulkActions } from "../../api/bulk.ts";
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { jobStates } from "../../api/schemas.ts";
import { CorvoError, exitCodes } from "../../base/errors.ts";
import type { Client } from "../../sdk/client.ts";
import type { Arguments } from "./args.ts";
import { followBulk, reportBulk } from "./bulk-follow.ts";
import { type Command, command, type Example } from "./command.ts";
import { confirm, yesFlag } from "./confirm.ts";
import type { Context } from "./context.ts";
import { UsageError } from "./exit.ts";
import { type FilterBody, filterFlags, filterOf } from "./filter-args.ts";
import { readIds } from "./input.ts";
import { count, printable } from "./output.ts";
import { shellQuote } from "./shell.ts";

type BulkBody = Parameters<Client["bulkJobs"]>[0]["body"];
type BulkAnswer = ResultOf<Operations["bulkJobs"]>;

/** The ids, and what is beyond them in a request. */
export interface ActionRequest {
  readonly ids: readonly string[];
  /** Members of the body of a call for one job. */
  readonly single: { readonly queue?: string; readonly reason?: string };
  /** Members of the body of a bulk call. */
  readonly bulk: Pick<BulkBody, "move_to_queue" | "priority">;
}

export interface JobAction {
  readonly action: (typeof bulkActions)[number];
  /** The call for one job; without one, a bulk call is made for it as well. */
  readonly operation?:
    | "retryJob"
    | "cancelJob"
    | "deleteJob"
    | "moveJob"
    | "holdJob"
    | "approveJob"
    | "rejectJob";
  /** As in "3 jobs were retried". */
  readonly done: string;
  /** As in "Retry 3 jobs?". */
  readonly verb: string;
  readonly examples: readonly Example[];
  readonly details?: string;
  readonly args?: Arguments;
  /** Reads the further arguments of this action. */
  readonly requestOf?: (
    ids: readonly string[],
    values: Readonly<Record<string, unknown>>,
  ) => ActionRequest;
}

const actionArgs = {
  ids: {
    type: "positional",
    required: false,
    rest: true,
    label: "ID",
    description: "Ids of jobs; - reads them from standard input, one a line.",
  },
  all: { type: "boolean", description: "All jobs, when no filter is given." },
  "dry-run": { type: "boolean", description: "Only count the jobs." },
  background: {
    type: "boolean",
    description: "Only begin it; `corvo bulk show` tells how far it is.",
  },
  yes: yesFlag,
} as const satisfies Arguments;

const selectionHint =
  "Name jobs by id, choose them by --filter 'state:dead queue:mail' or flags, or take --all.";
/** The server takes no empty filter: all jobs are those in any state. */
const everything: FilterBody = { state: [...jobStates] };

export function jobAction(action: JobAction): Command {
  return command({
    examples: action.examples,
    ...(action.details === undefined ? {} : { details: action.details }),
    args: { ...actionArgs, ...action.args, ...filterFlags },
    async run(args, context) {
      const given = await readIds(context.system, args.ids);
      const values: Readonly<Record<string, unknown>> = args;
      const request = action.requestOf?.(given, values) ?? { ids: given, single: {}, bulk: {} };
      const filter = filterOf(
        Object.fromEntries(Object.keys(filterFlags).map((name) => [name, values[name]])),
      );
      const isFiltered = Object.keys(filter).length > 0;
      if (request.ids.length > 0 && (isFiltered || args.all === true)) {
        throw new UsageError("both ids and a filter are given", selectionHint);
      }
      if (request.ids.length === 0 && !isFiltered && args.all !== true) {
        throw new UsageError("neither ids nor a filter are given", selectionHint);
      }
      const dryRun = args["dry-run"] === true;
      const [only] = request.ids;
      const isOne = request.ids.length === 1 && !dryRun && args.background !== true;
      if (only !== undefined && isOne && action.operation !== undefined) {
        return actOnOne(context, { ...action, operation: action.operation }, only, request);
      }
      const chosen = isFiltered ? filter : everything;
      const target = request.ids.length > 0 ? { job_ids: [...request.ids] } : { filter: chosen };
      const body: BulkBody = { ...target, ...request.bulk, action: action.action };
      const background = args.background === true;
      return actOnMany(context, action, body, { dryRun, background, yes: args.yes });
    },
  });
}

async function actOnOne(
  context: Context,
  action: JobAction & { readonly operation: NonNullable<JobAction["operation"]> },
  id: string,
  request: ActionRequest,
): Promise<undefined> {
  const { output, signal } = context;
  // `requestOf` of the action gave exactly the body of its operation; the union of operations hides that.
  const input = { params: { job_id: id }, body: request.single as { readonly queue: string } };
  let text: string;
  try {
    text = await context.client().text(action.operation, input, { signal });
  } catch (error) {
    const hint = filterHint([id]);
    if (hint === undefined || !(error instanceof CorvoError) || error.code !== "NOT_FOUND") {
      throw error;
    }
    throw new CorvoError(error.code, error.message, { hint });
  }
  if (output.json) output.line(text);
  else if (output.quiet) output.line(id);
  else output.note(`${id} was ${action.done}`);
  return undefined;
}

async function actOnMany(
  context: Context,
  action: JobAction,
  body: BulkBody,
  options: {
    readonly dryRun: boolean;
    readonly background: boolean;
    readonly yes: boolean | undefined;
  },
): Promise<number | undefined> {
  const { output, signal } = context;
  const client = context.client();
  const ids = body.job_ids ?? undefined;
  if (options.dryRun || ids === undefined) {
    const counting = { body: { ...body, dry_run: true } };
    const counted = await client.text("bulkJobs", counting, { signal });
    const { matched = 0 } = JSON.parse(counted) as BulkAnswer;
    if (options.dryRun) {
      refuseAllUnknown(ids, matched);
      output.line(output.json ? counted : `${count(matched, "job")} would be ${action.done}`);
      return warnOfUnknown(context, ids, matched);
    }
    if (matched === 0 && !output.json) {
      output.note("no job matches");
      return undefined;
    }
    const message = `${action.verb} ${count(matched, "job")}?`;
    if (!(await confirm(context, { message, yes: options.yes }))) return exitCodes.failed;
  }
  const asked = { body: options.background ? { ...body, async: true } : body };
  const text = await client.text("bulkJobs", asked, { signal });
  // The answer of a bulk action holds no payloads, so it needs no raw text.
  const answer = JSON.parse(text) as BulkAnswer;
  const id = answer.bulk_operation_id;
  refuseAllUnknown(ids, id === undefined ? answer.matched : answer.estimated_total);
  if (id !== undefined && options.background) {
    if (output.json) output.line(text);
    else if (output.quiet) output.line(id);
    else output.note(`bulk action ${id} is begun`);
    return warnOfUnknown(context, ids, answer.estimated_total);
  }
  const wanted = ids?.length;
  const exit =
    id === undefined
      ? reportBulk(context, action.done, text, { ...answer, wanted })
      : await followBulk(context, action.done, id, wanted);
  const hint = exit === exitCodes.partial ? filterHint(ids ?? []) : undefined;
  if (hint !== undefined) output.note(hint);
  return exit;
}

/** `found` is how many of the ids the server knows; undefined when it does not say. */
function refuseAllUnknown(ids: readonly string[] | undefined, found: number | undefined): void {
  const [first] = ids ?? [];
  if (ids === undefined || first === undefined || found !== 0) return;
  throw new CorvoError(
    "NOT_FOUND",
    ids.length === 1 ? `no job "${printable(first)}"` : `no job has one of these ${ids.length} ids`,
    {
      hint:
        filterHint(ids) ?? "Check the id; what is finished is removed after the retention time.",
    },
  );
}

function warnOfUnknown(
  { output }: Context,
  ids: readonly string[] | undefined,
  found: number | undefined,
): number | undefined {
  if (ids === undefined || found === undefined || found >= ids.length) return undefined;
  output.warn(
    `${ids.length - found} of ${ids.length} ids ${ids.length - found === 1 ? "is" : "are"} of no job`,
  );
  const hint = filterHint(ids);
  if (hint !== undefined) output.note(hint);
  return exitCodes.partial;
}

/** What to write instead, when one of the ids looks like a filter. */
function filterHint(ids: readonly string[]): string | undefined {
  const meant = ids.filter((id) => /[:\s]/.test(id));
  if (meant.length === 0) return undefined;
  return `To choose jobs by a filter: --filter ${shellQuote(printable(meant.join(" ")))}`;
}
