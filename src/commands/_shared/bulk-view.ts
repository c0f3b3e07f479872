/** The id of a bulk action on the command line, and how one looks at a terminal. */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { printFields } from "./grid.ts";
import { type Output, printable } from "./output.ts";

export type Bulk = ResultOf<Operations["getBulk"]>;

export const bulkArg = { type: "positional", description: "Id of the bulk action." } as const;

/** How far it is, in one cell. */
export function progressOf({ processed, total, total_exact }: Bulk): string {
  return `${processed}/${total}${total_exact ? "" : "+"}`;
}

export function printBulk(output: Output, bulk: Bulk): void {
  output.line(`${output.style.bold(printable(bulk.id))}  ${bulk.status}`);
  output.line("");
  printFields(output, [
    ["action", bulk.action],
    ["filter", bulk.filter === undefined ? undefined : printable(bulk.filter)],
    ["jobs", `${bulk.total_exact ? "" : "at least "}${bulk.total}`],
    ["processed", String(bulk.processed)],
    ["affected", String(bulk.affected)],
    ["skipped", String(bulk.skipped)],
    ["because", bulk.error === undefined ? undefined : printable(bulk.error)],
    ["begun", bulk.created_at],
    ["ended", bulk.finished_at],
  ]);
}
