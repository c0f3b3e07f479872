/**
 * Starts the Workers of this folder, from source and from the compiled program.
 *
 * From source a Worker's file lies beside this module. In a compiled program this module is part of some chunk in the
 * root of the embedded files, and the Worker is an extra entry point of the build, found under its path below the folder
 * that all entry points share (src), written as in the source. Only literals are found by the bundler.
 */
const isCompiled = /\/(\$bunfs|~BUN)\//.test(import.meta.url);

export function startWorker(name: "log" | "state" | "query" | "snapshot" | "text"): Worker {
  switch (name) {
    case "log":
      return isCompiled
        ? new Worker("./store/log-worker.ts")
        : new Worker(new URL("./log-worker.ts", import.meta.url));
    case "state":
      return isCompiled
        ? new Worker("./store/state-worker.ts")
        : new Worker(new URL("./state-worker.ts", import.meta.url));
    case "query":
      return isCompiled
        ? new Worker("./store/query-worker.ts")
        : new Worker(new URL("./query-worker.ts", import.meta.url));
    case "snapshot":
      return isCompiled
        ? new Worker("./store/snapshot-worker.ts")
        : new Worker(new URL("./snapshot-worker.ts", import.meta.url));
    case "text":
      return isCompiled
        ? new Worker("./store/text-worker.ts")
        : new Worker(new URL("./text-worker.ts", import.meta.url));
  }
}
