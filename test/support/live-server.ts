/** A whole node in this process: real clock, disk and sockets, on a free loopback port, in a directory that goes with it. */
import { aloneOptions } from "../../src/commands/server/identity.ts";
import { type ServerOptions, startServer } from "../../src/commands/server/start.ts";
import { testShards } from "./binary.ts";
import { memoryLogger } from "./system-ports.ts";
import { tempDir } from "./temp-dir.ts";

export interface Answer {
  readonly status: number;
  /** The parsed body; undefined when there is none. */
  readonly body: unknown;
  readonly headers: Headers;
}

export interface LiveServer extends AsyncDisposable {
  readonly url: string;
  /** A body that is text is sent as it is. */
  call(method: string, path: string, body?: unknown, init?: RequestInit): Promise<Answer>;
  /** `POST` under `/api/v1` that must succeed; gives the body. */
  post<T>(path: string, body?: unknown): Promise<T>;
  get<T>(path: string): Promise<T>;
  /** Resolves as soon as the status is as wanted. */
  until(isWanted: (status: { readonly waiting_workers: number }) => boolean): Promise<void>;
  stop(): Promise<void>;
}

const dayMs = 86_400_000;

export async function liveServer(options: Partial<ServerOptions> = {}): Promise<LiveServer> {
  const dir = tempDir();
  const server = await startServer(
    {
      host: "127.0.0.1",
      port: 0,
      dataDir: dir.path,
      cachedJobsMax: 10_000,
      logTailEntries: 1000,
      requireLeaseToken: false,
      payloadBytesMax: 256 * 1024,
      bodyBytesMax: 16 * 1024 * 1024,
      retention: { doneMs: dayMs, doneMax: 1e6, deadMs: dayMs, deadMax: 1e6 },
      shards: testShards(),
      // The default port is every other server's on the machine, too.
      cluster: { ...aloneOptions, peerBind: { host: "127.0.0.1", port: 0 } },
      ...options,
    },
    memoryLogger(),
  );
  const call: LiveServer["call"] = async (method, path, body, init = {}) => {
    const response = await fetch(`${server.url}${path}`, {
      ...init,
      method,
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      body: text === "" ? undefined : JSON.parse(text),
      headers: response.headers,
    };
  };
  const succeed = async (method: string, path: string, body?: unknown) => {
    const answer = await call(method, `/api/v1${path}`, body);
    if (answer.status < 300) return answer.body;
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  };
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= server.stop(1000).finally(() => dir[Symbol.dispose]());
    return stopped;
  };
  const until: LiveServer["until"] = async (isWanted) => {
    while (!isWanted((await succeed("GET", "/status")) as { waiting_workers: number }));
  };
  return {
    url: server.url,
    call,
    until,
    post: async <T>(path: string, body?: unknown) => (await succeed("POST", path, body)) as T,
    get: async <T>(path: string) => (await succeed("GET", path)) as T,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Members of answers that tests read. */
export interface Claimed {
  readonly job_id: string;
  readonly queue: string;
  readonly payload: unknown;
  readonly attempt: number;
  readonly lease_token: string;
  readonly checkpoint?: unknown;
}
export interface JobBody {
  readonly id: string;
  readonly queue: string;
  readonly state: string;
  readonly attempt: number;
  readonly priority: number;
  readonly created_at: string;
  readonly expire_at?: string;
  readonly failed_at?: string;
  readonly worker_id?: string;
  readonly lease_expires_at?: string;
  readonly errors?: readonly { readonly attempt: number; readonly error: string }[];
}
