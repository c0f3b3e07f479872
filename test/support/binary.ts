/**
 * The compiled program, as a user has it: built when it is older than its sources, copied into a folder of its own, and
 * run there with an environment of its own, so that nothing of the source tree can help it.
 */
import { chmodSync, copyFileSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { tempDir } from "./temp-dir.ts";

const root = new URL("../../", import.meta.url).pathname;
const built = join(root, "dist/corvo");

let ready: Promise<string> | undefined;

/** Path of an up-to-date executable; built at most once per run. */
export function corvoBinary(): Promise<string> {
  ready ??= isFresh() ? Promise.resolve(built) : build();
  return ready;
}

function isFresh(): boolean {
  const builtMs = statSync(built, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = [...new Bun.Glob("src/**/*.ts").scanSync(root)];
  return [...sources, "package.json", "scripts/build-binaries.ts"].every(
    (path) => statSync(join(root, path)).mtimeMs < builtMs,
  );
}

async function build(): Promise<string> {
  const run = Bun.spawn([process.execPath, "scripts/build-binaries.ts"], {
    cwd: root,
    stdout: "ignore",
    stderr: "inherit",
  });
  if ((await run.exited) !== 0) throw new Error("the executable could not be built");
  return built;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly stdin?: string;
  /** Path of another executable than the one of the place. */
  readonly program?: string;
}

/** A folder outside of any project with the executable in it: no `node_modules`, no sources, no configuration. */
export class Place {
  readonly path: string;
  readonly #dir = tempDir();
  readonly #outputs = tempDir();
  #runs = 0;
  readonly #processes = new Set<Subprocess>();
  readonly env: Record<string, string> = { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8" };

  private constructor() {
    this.path = this.#dir.path;
    this.env["HOME"] = this.path;
  }

  static async create(): Promise<Place> {
    const binary = await corvoBinary();
    const place = new Place();
    mkdirSync(join(place.path, "bin"));
    copyFileSync(binary, place.binary);
    chmodSync(place.binary, 0o755);
    place.env["PATH"] = `${place.path}/bin:${place.env["PATH"]}`;
    return place;
  }

  get binary(): string {
    return join(this.path, "bin/corvo");
  }

  /** Runs one command line of the program to its end. */
  async run(words: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return this.#finish([options.program ?? this.binary, ...words], options);
  }

  /** Runs a line as it would be typed into a shell. */
  async shell(line: string, options: RunOptions = {}): Promise<Finished> {
    return this.#finish(["sh", "-c", line], options);
  }

  /** Starts the program without waiting. */
  start(words: readonly string[], options: RunOptions = {}): Running {
    const command = [options.program ?? this.binary, ...words];
    return this.#spawn(command, options, { stdout: "pipe", stderr: "pipe" });
  }

  /**
   * The output goes to files. What comes through pipes the runtime of the tests (Bun 1.4.5) leaves unread now and then, when much else goes
   * on: in one of some twenty runs of the stories of the features.
   */
  async #finish(command: readonly string[], options: RunOptions): Promise<Finished> {
    const stem = join(this.#outputs.path, String(++this.#runs));
    const files = { stdout: Bun.file(`${stem}.out`), stderr: Bun.file(`${stem}.err`) };
    const child = this.#spawn(command, options, files);
    if (options.stdin !== undefined && child.stdin !== undefined) {
      child.stdin.write(options.stdin);
      child.stdin.end();
    }
    const code = await child.exited;
    const [stdout, stderr] = await Promise.all([files.stdout.text(), files.stderr.text()]);
    return { code, stdout, stderr };
  }

  #spawn<Out extends "pipe" | Bun.BunFile>(
    command: readonly string[],
    options: RunOptions,
    output: { readonly stdout: Out; readonly stderr: Out },
  ): Subprocess<"ignore" | "pipe", Out, Out> {
    const child = Bun.spawn([...command], {
      cwd: options.cwd ?? this.path,
      env: { ...this.env, ...options.env },
      stdin: options.stdin === undefined ? "ignore" : "pipe",
      ...output,
    });
    this.#processes.add(child);
    child.exited.then(() => this.#processes.delete(child));
    return child as Subprocess<"ignore" | "pipe", Out, Out>;
  }

  /** Starts a server and waits until it listens. */
  async serve(words: readonly string[] = [], options: RunOptions = {}): Promise<Server> {
    const child = this.start(
      [
        "server",
        "--bind",
        "127.0.0.1:0",
        "--data-dir",
        "data",
        "--json",
        ...shardWords(),
        ...words,
      ],
      options,
    );
    const server = new Server(child);
    await server.listening;
    this.env["CORVO_SERVER"] = server.url;
    return server;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#processes) child.kill("SIGKILL");
    await Promise.all([...this.#processes].map((child) => child.exited));
    this.#dir[Symbol.dispose]();
    this.#outputs[Symbol.dispose]();
  }
}

export type Running = Subprocess<"ignore" | "pipe", "pipe", "pipe">;

/** `CORVO_TEST_SHARDS=3 bun test …` runs servers with several shards. */
export function testShards(): number | undefined {
  const shards = process.env["CORVO_TEST_SHARDS"];
  return shards === undefined ? undefined : Number(shards);
}

export function shardWords(): string[] {
  const shards = testShards();
  return shards === undefined ? [] : ["--shards", String(shards)];
}

/** A running server: its address from its first line, its log as it comes. */
export class Server {
  readonly child: Running;
  readonly listening: Promise<void>;
  url = "";
  stdout = "";
  stderr = "";
  readonly #drained: Promise<unknown>;

  constructor(child: Running) {
    this.child = child;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.listening = promise;
    this.#drained = Promise.all([
      drain(child.stdout, (text) => {
        this.stdout += text;
        const line = /^(\{.*\})\n/.exec(this.stdout)?.[1];
        if (this.url !== "" || line === undefined) return;
        this.url = (JSON.parse(line) as { url: string }).url;
        resolve();
      }),
      drain(child.stderr, (text) => {
        this.stderr += text;
      }),
    ]);
    child.exited.then(async (code) => {
      await this.#drained;
      reject(new Error(`the server ended with ${code} before it listened:\n${this.stderr}`));
    });
  }

  /** Ends it and waits; the exit code. */
  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.child.kill(signal);
    const code = await this.child.exited;
    await this.#drained;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }

  /** One call; the status and the text of the answer. */
  async call(
    method: string,
    path: string,
    body?: string | Uint8Array<ArrayBuffer>,
  ): Promise<{ readonly status: number; readonly text: string; readonly headers: Headers }> {
    const response = await fetch(this.url + path, {
      method,
      ...(body === undefined ? {} : { body, headers: { "content-type": "application/json" } }),
    });
    return { status: response.status, text: await response.text(), headers: response.headers };
  }

  /** One call that must succeed; the parsed answer. */
  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const answer = await this.call(method, path, text);
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return (answer.text === "" ? undefined : JSON.parse(answer.text)) as T;
  }
}

async function drain(
  stream: ReadableStream<Uint8Array>,
  take: (text: string) => void,
): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) take(decoder.decode(chunk, { stream: true }));
}
