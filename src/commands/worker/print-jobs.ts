/** Handler without a command: shows each job and finishes it. A job that nobody can see is given back. */

import { stringifyJson } from "../../base/json.ts";
import type { Handler } from "../../sdk/worker-run.ts";
import { printable } from "../_shared/output.ts";
import { shownPayload } from "../_shared/shown-payload.ts";
import type { Out } from "./echo.ts";

export function printHandler(out: Out, isJson: boolean, onClosed: () => void): Handler {
  return async (run) => {
    const { job, payload } = run;
    const line = isJson
      ? stringifyJson({ ...job, payload })
      : printable(
          `${job.job_id} ${job.queue} ${job.attempt} ${oneLine(shownPayload({ ...job, payload }))}`,
        );
    if (await out.write(`${isJson ? oneLine(line) : line}\n`)) return { kind: "done" };
    onClosed();
    return { kind: "returned", reason: `job ${job.job_id} was not shown: stdout is closed` };
  };
}

/** A line break in JSON text can only be white space between its parts. */
export function oneLine(json: string): string {
  return json.replace(/[\r\n]/g, " ");
}
