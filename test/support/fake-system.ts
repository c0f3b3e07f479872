/**
 * A `System` without a process: streams in memory, a clock that stands still unless told, timers that fire at once, and
 * a `fetch` that the test writes. It runs whole command lines.
 */
import { runLine, type Signals } from "../../src/commands/_shared/run.ts";
import type { System } from "../../src/commands/_shared/system.ts";
import type { Fetch } from "../../src/sdk/client.ts";

export interface FakeOptions {
  readonly fetch?: Fetch;
  readonly stdin?: string | Uint8Array;
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly isTty?: boolean;
  /** What the person answers to every question; undefined is Ctrl-C. */
  readonly answer?: string;
  readonly signals?: Signals;
  readonly chunkBytes?: number;
  readonly nowMs?: number;
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const noServer: Fetch = () =>
  Promise.reject(Object.assign(new Error("refused"), { code: "ConnectionRefused" }));
const noSignals: Signals = { listen: () => () => undefined };

/** Runs `corvo` with these words. */
export async function corvo(argv: readonly string[], options: FakeOptions = {}): Promise<Ran> {
  const written = { stdout: "", stderr: "" };
  const sink = (name: "stdout" | "stderr") => ({
    isTty: options.isTty ?? false,
    columns: 100,
    write(text: string) {
      written[name] += text;
    },
  });
  let monotonicMs = 0;
  const bytesOf = (text: string | Uint8Array) =>
    typeof text === "string" ? new TextEncoder().encode(text) : text;
  async function* chunks(text: string | Uint8Array) {
    const bytes = bytesOf(text);
    const size = options.chunkBytes ?? 64;
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const fileOf = (path: string) => {
    const text = options.files?.[path];
    if (text === undefined) throw new Error("ENOENT: no such file or directory");
    return text;
  };
  const system: System = {
    env: options.env ?? {},
    stdout: sink("stdout"),
    stderr: sink("stderr"),
    stdinIsTty: options.isTty ?? false,
    writeBytes: async (bytes) => {
      written.stdout += new TextDecoder().decode(bytes);
    },
    clock: { nowMs: () => options.nowMs ?? 1_800_000_000_000, monotonicMs: () => monotonicMs },
    timers: {
      after(delayMs, callback) {
        let stopped = false;
        // Long timers are limits that no test waits for; short ones are pauses, which take no time here.
        if (delayMs < 10_000) {
          queueMicrotask(() => {
            if (stopped) return;
            monotonicMs += delayMs;
            callback();
          });
        }
        return () => {
          stopped = true;
        };
      },
    },
    random: { uint32: () => 0 },
    fetch: options.fetch ?? noServer,
    prompts: {
      confirm: async (message) => {
        written.stderr += `? ${message}\n`;
        return options.answer === undefined ? undefined : options.answer === "yes";
      },
      ask: async (message) => {
        written.stderr += `? ${message}\n`;
        return options.answer;
      },
    },
    stdin: () => chunks(options.stdin ?? ""),
    async *file(path) {
      yield* chunks(fileOf(path));
    },
    fileBytes: async (path) => bytesOf(fileOf(path)).length,
  };
  const code = await runLine(system, argv, options.signals ?? noSignals);
  return { code, ...written };
}

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly headers: Headers;
}

/** A server of one function: it gets each request read, and returns the status and the text of the answer. */
export function server(answer: (seen: Seen, index: number) => Response | Promise<Response>): {
  readonly fetch: Fetch;
  readonly seen: Seen[];
} {
  const seen: Seen[] = [];
  return {
    seen,
    fetch: async (request) => {
      const url = new URL(request.url);
      const call: Seen = {
        method: request.method,
        path: url.pathname + url.search,
        body: await request.text(),
        headers: request.headers,
      };
      seen.push(call);
      return answer(call, seen.length - 1);
    },
  };
}

export function json(text: string, status = 200): Response {
  return new Response(text, { status, headers: { "content-type": "application/json" } });
}
