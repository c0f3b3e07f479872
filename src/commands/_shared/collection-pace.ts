/**
 * How often a server collects garbage. The runtime does so each second while there is any work, whether there is much garbage or
 * not, and with much in memory that stops the thread for 5 to 8 ms each time (measured beside a million jobs): the
 * longest waits of an otherwise idle system. It reads the interval from the environment when it starts, hence the server starts
 * again in its own place: same process, same streams, a variable more. Memory is still collected when it fills.
 */
const variable = "BUN_GC_TIMER_INTERVAL";
const switchOff = "BUN_GC_TIMER_DISABLE";
/** Enough to give back what a burst has left; a collection now and then shows in no p99. */
const intervalMs = 10_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** The environment to start again with; undefined when that is not wanted, or was done. */
export function paceOf(argv: readonly string[], env: Environment): Environment | undefined {
  const isServer = argv.find((word) => !word.startsWith("-")) === "server";
  if (!isServer || argv.includes("--help") || argv.includes("-h")) return undefined;
  if (env[variable] !== undefined || env[switchOff] !== undefined) return undefined;
  return { ...env, [variable]: String(intervalMs) };
}

/** Does not return when it goes through. A system that cannot do it, or forbids it, runs as it is. */
export function startInPlace(command: readonly string[], env: Environment): void {
  const [file] = command;
  if (file === undefined || process.platform === "win32") return;
  try {
    process.execve?.(file, command, { ...env });
  } catch {
    return;
  }
}
