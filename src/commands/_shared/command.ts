/**
 * How a command file looks: `export default command({...})`. The result is a citty command, run by citty, that also
 * carries what citty has no place for: examples and typed arguments.
 */
import { type CommandDef, defineCommand } from "citty";
import type { Arguments, ValuesOf } from "./args.ts";
import type { Context } from "./context.ts";

export interface Example {
  /** A whole line for a shell, beginning with `corvo`, or with what is piped into it. */
  readonly line: string;
  readonly says: string;
}

export interface CommandSpec<A extends Arguments = Arguments> {
  readonly examples: readonly Example[];
  /** More than the summary of the table says. */
  readonly details?: string;
  readonly args: A;
  /** Does another command follow after `--`? It arrives as `context.trailing`. */
  readonly takesCommand?: true;
  /** The exit code; nothing means 0. */
  run(args: ValuesOf<A>, context: Context): Promise<number | undefined>;
}

export interface Command {
  readonly citty: CommandDef;
  readonly spec: CommandSpec;
}

/** What the runner hands to citty and gets back in `run`. */
export interface Invocation {
  readonly values: Readonly<Record<string, unknown>>;
  readonly context: Context;
}

export function command<const A extends Arguments>(spec: CommandSpec<A>): Command {
  const citty = defineCommand({
    // Arguments arrive already parsed and typed in `data`; citty's own parser would lose repeated flags.
    run: ({ data }: { data?: Invocation }) =>
      data === undefined ? undefined : spec.run(data.values as ValuesOf<A>, data.context),
  });
  return { citty, spec: spec as unknown as CommandSpec };
}
