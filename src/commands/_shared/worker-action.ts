/** What an operator asks of workers: to be quiet, to stop, to go on. */
import { type Command, command, type Example } from "./command.ts";

export interface WorkerAction {
  readonly operation: "quietWorker" | "stopWorker" | "resumeWorker";
  /** "w1 ... " */
  readonly done: string;
  readonly details?: string;
  readonly examples: readonly Example[];
}

export function workerAction(action: WorkerAction): Command {
  return command({
    examples: action.examples,
    ...(action.details === undefined ? {} : { details: action.details }),
    args: {
      workers: {
        type: "positional",
        rest: true,
        label: "WORKER",
        description: "Ids of workers, as `corvo workers list` shows them.",
      },
    },
    async run(args, { client, output, signal }) {
      const texts: string[] = [];
      for (const worker_id of args.workers) {
        const input = { params: { worker_id } };
        if (output.json) {
          texts.push(await client().text(action.operation, input, { signal }));
          continue;
        }
        const { known } = await client()[action.operation](input, { signal });
        if (output.quiet) output.line(worker_id);
        else {
          const doubt = known ? "" : "; no worker of this id was heard of yet";
          output.note(`${worker_id} ${action.done}${doubt}`);
        }
      }
      if (output.json) output.line(texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(",")}]`);
      return undefined;
    },
  });
}
