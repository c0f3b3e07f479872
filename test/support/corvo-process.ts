/** The program as processes of its own: a server that can be killed and started again on its port, and other commands. */
import { join } from "node:path";
import type { Subprocess } from "bun";

const root = new URL("../../", import.meta.url).pathname;

export interface CommandProcess {
  readonly pid: number;
  readonly exited: Promise<number>;
  /** Standard output and error so far. */
  text(): string;
  /** Resolves when the pattern is found in the output; rejects when the process ends without it. */
  shows(pattern: RegExp): Promise<RegExpExecArray>;
  kill(signal: NodeJS.Signals): void;
}

export function startCommand(
  words: readonly string[],
  env: Record<string, string>,
): CommandProcess {
  const child = Bun.spawn([process.execPath, join(root, "src/main.ts"), ...words], {
    env: { PATH: process.env["PATH"] ?? "", TMPDIR: process.env["TMPDIR"] ?? "/tmp", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  let text = "";
  let waiters: (() => void)[] = [];
  const changed = () => {
    const waiting = waiters;
    waiters = [];
    for (const look of waiting) look();
  };
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) {
      text += decoder.decode(chunk, { stream: true });
      changed();
    }
  };
  const ended = Promise.all([collect(child.stdout), collect(child.stderr), child.exited]);
  let isOver = false;
  void ended.then(() => {
    isOver = true;
    changed();
  });
  return {
    pid: child.pid,
    exited: ended.then(([, , code]) => code),
    text: () => text,
    shows: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const match = pattern.exec(text);
          if (match !== null) resolve(match);
          else if (isOver)
            reject(new Error(`${words.join(" ")} ended without ${pattern}: ${text}`));
          else waiters.push(look);
        };
        look();
      }),
    kill: (signal) => kill(child, signal),
  };
}

function kill(child: Subprocess, signal: NodeJS.Signals): void {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal);
}

/** A server on a data directory of the caller. */
export class ServerProcess {
  readonly #dataDir: string;
  #port = 0;
  #command: CommandProcess | undefined;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Starts it, on the same port as before. */
  async start(): Promise<void> {
    const bind = `127.0.0.1:${this.#port}`;
    this.#command = startCommand(["server", "--bind", bind, "--data-dir", this.#dataDir], {});
    const [, port] = await this.#command.shows(/http:\/\/127\.0\.0\.1:(\d+)/);
    this.#port = Number(port);
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#command?.kill(signal);
    await this.#command?.exited;
  }

  async post(path: string, body: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(this.url + path, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Record<string, unknown>;
  }

  async get(path: string): Promise<Record<string, unknown>> {
    return (await (await fetch(this.url + path)).json()) as Record<string, unknown>;
  }

  /** Adds jobs with the payloads 1 to `count`; their ids. */
  async addJobs(queue: string, count: number, options: object = {}): Promise<string[]> {
    const jobs = Array.from({ length: count }, (_, n) => ({ queue, payload: n + 1, ...options }));
    return (await this.post("/api/v1/enqueue/batch", { jobs }))["job_ids"] as string[];
  }
}
