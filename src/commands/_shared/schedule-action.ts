/** Commands that do one thing to schedules by name. */
import { type Command, command, type Example } from "./command.ts";
import { scheduleArg } from "./schedule-view.ts";

export interface ScheduleAction {
  readonly operation: "pauseSchedule" | "resumeSchedule" | "deleteSchedule";
  readonly done: string;
  readonly examples: readonly Example[];
}

export function scheduleAction(action: ScheduleAction): Command {
  return command({
    examples: action.examples,
    args: {
      names: { ...scheduleArg, rest: true, label: "NAME", description: "Names of schedules." },
    },
    async run(args, { client, output, signal }) {
      const texts: string[] = [];
      for (const name of args.names) {
        texts.push(await client().text(action.operation, { params: { name } }, { signal }));
        if (output.quiet && !output.json) output.line(name);
        else if (!output.json) output.note(`${name} is ${action.done}`);
      }
      if (output.json) output.line(texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(",")}]`);
      return undefined;
    },
  });
}
