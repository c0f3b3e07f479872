/** `corvo server drain`: asks a running server, and looks again until it can be stopped without a loss of work. */
import type { ResultOf } from "../../api/operation.ts";
import type { Operations } from "../../api/operations.ts";
import { exitCodes } from "../../base/errors.ts";
import { formatDuration } from "../../base/time.ts";
import { pause } from "../../sdk/retry.ts";
import { command } from "../_shared/command.ts";
import type { Context } from "../_shared/context.ts";
import { UsageError } from "../_shared/exit.ts";
import { readDuration } from "../_shared/readers.ts";

type DrainState = ResultOf<Operations["drainNode"]>;

const lookMs = 250;

export default command({
  details:
    "The server at --server hands leadership to another node, refuses claims, and asks its streams to connect again, which brings workers that know other nodes to one of them. It goes on taking everything else: jobs that run can be reported. The command ends when the leases that went out through the server are over, or when the time is. A server on its own only stops giving out work. It stays drained until --undo or its next start.",
  examples: [
    {
      line: "corvo server drain --server 10.0.0.7:8080",
      says: "Before an upgrade of one node",
    },
    { line: "corvo server drain --timeout 5m", says: "Wait no longer for jobs that run" },
    { line: "corvo server drain --undo", says: "Let it give out work again" },
  ],
  args: {
    timeout: {
      type: "string",
      description: "How long to wait for jobs that run. The server stays draining afterwards.",
      valueHint: "DURATION",
      default: "1m",
      read: readDuration,
    },
    undo: { type: "boolean", description: "Let it give out work again." },
  },
  async run(args, context) {
    const { client, output, signal, log, globals } = context;
    if (globals.server.includes(",")) {
      throw new UsageError(
        `${globals.server} are several servers, and one is drained`,
        "Name it with --server.",
      );
    }
    if (args.undo === true) {
      const state = await client().resumeNode({}, { signal });
      show(context, state, `node ${state.node_id} gives out work again`);
      return undefined;
    }
    const state = await waitUntilDrained(context, args.timeout);
    if (state.state === "drained") {
      show(context, state, `node ${state.node_id} is drained and can be stopped`);
      return undefined;
    }
    if (output.json) output.line(JSON.stringify(state));
    log.warn(
      `node ${state.node_id} is not drained after ${formatDuration(args.timeout)}: ${whatIsLeft(state)}`,
    );
    return exitCodes.failed;
  },
});

function show({ output }: Context, state: DrainState, sentence: string): void {
  if (output.json) output.line(JSON.stringify(state));
  else if (output.quiet) output.line(state.node_id);
  else output.line(sentence);
}

async function waitUntilDrained(context: Context, timeoutMs: number): Promise<DrainState> {
  const { client, signal, system, log } = context;
  const startedMs = system.clock.monotonicMs();
  let said = "";
  for (;;) {
    const state = await client().drainNode({}, { signal });
    const isOver = system.clock.monotonicMs() - startedMs >= timeoutMs;
    if (state.state === "drained" || isOver) return state;
    const left = whatIsLeft(state);
    if (left !== said) log.info(`node ${state.node_id} is draining: ${left}`);
    said = left;
    await pause(system.timers, lookMs, signal);
  }
}

function whatIsLeft(state: DrainState): string {
  if (state.leads) return "it still leads, since no other voter can take over";
  if (state.leases === 0) return "its clients are asked to connect again";
  return `${state.leases} ${state.leases === 1 ? "lease that went out through it is" : "leases that went out through it are"} not over`;
}
