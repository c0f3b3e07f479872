/**
 * The client against a `fetch` of a few lines: what it sends, what it returns, and when it sends again. Time does not pass;
 * pauses are noted and end at once.
 */
import { beforeEach, describe, expect, test } from "bun:test";
import { shardHeader } from "../../src/api/shard-header.ts";
import { CorvoError } from "../../src/base/errors.ts";
import { RawJson } from "../../src/base/json.ts";
import type { Timers } from "../../src/base/ports.ts";
import { type ClientOptions, createClient, type Fetch } from "../../src/sdk/client.ts";
import { piecesOf } from "../../src/sdk/errors.ts";
import { awakeMsMax } from "../../src/sdk/servers.ts";
import { json, server } from "../support/fake-system.ts";

interface Paused {
  readonly timers: Timers;
  readonly delaysMs: number[];
}

/** Timers that end pauses at once and note them. Limits of 30 s and more never fire, nor, unless told to, that of a server to show itself. */
function instantTimers(limits: readonly number[] = []): Paused {
  const delaysMs: number[] = [];
  return {
    delaysMs,
    timers: {
      after(delayMs, callback) {
        let stopped = false;
        const isLimit = delayMs >= 30_000 || delayMs === awakeMsMax;
        if (!isLimit || limits.includes(delayMs)) {
          delaysMs.push(delayMs);
          queueMicrotask(() => stopped || callback());
        }
        return () => {
          stopped = true;
        };
      },
    },
  };
}

function client(fetch: Fetch, more: Partial<ClientOptions> = {}) {
  return createClient({
    server: "http://localhost:8080",
    fetch,
    timers: instantTimers().timers,
    random: { uint32: () => 0 },
    ...more,
  });
}

async function failure(promise: Promise<unknown>): Promise<CorvoError> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof CorvoError) return error;
  throw new Error(`expected a CorvoError, got ${String(error)}`);
}

const refused = () => Promise.reject(Object.assign(new Error("no"), { code: "ConnectionRefused" }));
const reset = () =>
  Promise.reject(Object.assign(new Error("socket closed"), { code: "ECONNRESET" }));

describe("a call", () => {
  test("with a body that is anything is sent as it is, with its headers; between nodes as JSON", async () => {
    const sent: { type: string | null; own: string | null; text: string }[] = [];
    const corvo = client(async (request) => {
      const { headers } = request;
      const [type, own] = [headers.get("content-type"), headers.get("x-own")];
      sent.push({ type, own, text: await request.text() });
      return json('{"job_id":"j","status":"pending","unique_existing":false}', 201);
    });
    const body = { text: "a=1", headers: { "content-type": "text/plain", "x-own": "1" } };
    const input = { params: { name: "q" }, body };

    await corvo.receiveWebhook(input);
    await corvo.receiveWebhook(input, { headers: { [shardHeader]: "1" } });

    expect(sent).toEqual([
      { type: "text/plain", own: "1", text: "a=1" },
      { type: "application/json", own: null, text: JSON.stringify(body) },
    ]);
  });

  test("sends method, path, query, key and the payload byte for byte", async () => {
    const { fetch, seen } = server(() =>
      json('{"job_id":"job_1","status":"pending","unique_existing":false}', 201),
    );
    const api = client(fetch, { apiKey: "secret", server: "http://localhost:8080/base/" });
    const payload = new RawJson('{ "n": 12345678901234567890, "b":1.0 }');

    await api.enqueueJob({ body: { queue: "mail", payload } });
    await api.waitJob({ params: { job_id: "a/b?c" }, query: { timeout: 2.5 } });

    expect(seen[0]?.method).toBe("POST");
    expect(seen[0]?.path).toBe("/base/api/v1/enqueue");
    expect(seen[0]?.body).toBe('{"queue":"mail","payload":{ "n": 12345678901234567890, "b":1.0 }}');
    expect(seen[0]?.headers.get("x-api-key")).toBe("secret");
    expect(seen[0]?.headers.get("content-type")).toBe("application/json");
    expect(seen[1]?.path).toBe("/base/api/v1/jobs/a%2Fb%3Fc/wait?timeout=2.5");
    expect(seen[1]?.body).toBe("");
  });

  test("returns payloads as the text that the server sent", async () => {
    const { fetch } = server(() => json('{"id":"job_1","payload":{"n":1.0},"attempt":0}'));

    const job = await client(fetch).getJob({ params: { job_id: "job_1" } });

    expect(job.payload).toEqual(new RawJson('{"n":1.0}'));
    expect(job.attempt).toBe(0);
  });

  test("gives the whole answer as text on request", async () => {
    const { fetch } = server(() => json('[ {"name": "mail"} ]'));

    expect(await client(fetch).text("listQueues")).toBe('[ {"name": "mail"} ]');
  });

  test("returns undefined when a claim finds nothing", async () => {
    const { fetch } = server(() => new Response(null, { status: 204 }));

    expect(await client(fetch).fetchJob({ body: { queues: ["mail"] } })).toBeUndefined();
  });

  test.each(["..", "", "job_\ud800"])(
    "refuses a path part that would change the path, or cannot be sent: %j",
    async (job_id) => {
      const { fetch, seen } = server(() => json("{}"));

      const error = await failure(client(fetch).getJob({ params: { job_id } }));

      expect(error.code).toBe("VALIDATION_ERROR");
      expect(seen).toHaveLength(0);
    },
  );
});

describe("a failing call", () => {
  test("carries code, message, hint and details of the server", async () => {
    const { fetch } = server(() =>
      json('{"error":"no job","code":"NOT_FOUND","hint":"look","details":{"id":"x"}}', 404),
    );

    const error = await failure(client(fetch).getJob({ params: { job_id: "x" } }));

    expect(error.code).toBe("NOT_FOUND");
    expect(error.message).toBe("no job");
    expect(error.hint).toBe("look");
    expect(error.details).toEqual({ id: "x" });
  });

  test("is told from its status when the answer is not ours", async () => {
    const { fetch } = server(() => new Response("<html>Bad Gateway</html>", { status: 502 }));

    const error = await failure(client(fetch).listQueues());

    expect(error.code).toBe("UNAVAILABLE");
    expect(error.message).toContain("http://localhost:8080/api/v1/queues answered 502: <html>");
  });

  test("says so when a success is not JSON", async () => {
    const { fetch } = server(() => new Response("hello"));

    expect((await failure(client(fetch).listQueues())).message).toContain("not JSON");
  });

  test("names the address when nobody listens there", async () => {
    const error = await failure(client(refused).listQueues());

    expect(error.code).toBe("UNAVAILABLE");
    expect(error.message).toBe("cannot reach http://localhost:8080: connection refused");
    expect(error.hint).toContain("corvo server");
  });
});

describe("a server elsewhere", () => {
  test("does not get the call because the one that was asked says so", async () => {
    const moved = () =>
      new Response(null, { status: 308, headers: { location: "https://evil.example/" } });
    using other = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: moved });
    const server = `http://127.0.0.1:${other.port}`;

    const error = await failure(client((request) => fetch(request), { server }).listQueues());

    expect(error.message).toBe(
      `${server}/api/v1/queues answered 308: moved to https://evil.example/`,
    );
  });

  test("whose certificate is not accepted was sent nothing, and is asked once", async () => {
    let calls = 0;
    const foreign = () => {
      calls++;
      const code = "DEPTH_ZERO_SELF_SIGNED_CERT";
      return Promise.reject(Object.assign(new Error("self signed certificate"), { code }));
    };

    const error = await failure(client(foreign).enqueueJob({ body: { queue: "mail" } }));

    expect(error.code).toBe("UNAVAILABLE");
    expect(error.hint).toContain("NODE_EXTRA_CA_CERTS");
    expect(calls).toBe(1);
  });
});

test.each([
  [404, "<html>\n  <p>Not\u001b[31m Found</p>\n", "answered 404: <html> <p>Not [31m Found</p>"],
  [501, "", "answered 501 without a text"],
])(
  "a server that is none of ours is one that is not there, and is not asked again: %d",
  async (status, text, message) => {
    const { fetch, seen } = server(() => new Response(text, { status }));

    const error = await failure(client(fetch).getQueue({ params: { name: "q" } }));

    expect([error.code, error.retryable, seen.length]).toEqual(["UNAVAILABLE", false, 1]);
    expect(error.message).toEndWith(message);
  },
);

describe("retries", () => {
  const enqueue = { body: { queue: "mail" } };
  const overloaded = () =>
    new Response('{"error":"busy","code":"OVERLOADED"}', {
      status: 429,
      headers: { "retry-after": "2" },
    });

  test("wait as long as Retry-After asks", async () => {
    const { timers, delaysMs } = instantTimers();
    const { fetch, seen } = server((_, index) => (index < 2 ? overloaded() : json("[]")));

    await client(fetch, { timers }).listQueues();

    expect(seen).toHaveLength(3);
    expect(delaysMs).toEqual([2000, 2000]);
  });

  test("double the pause and stop at the last attempt", async () => {
    const { timers, delaysMs } = instantTimers();
    let calls = 0;
    const fetch = () => {
      calls++;
      return refused();
    };

    await failure(client(fetch, { timers, retry: { baseDelayMs: 100 } }).enqueueJob(enqueue));

    expect(calls).toBe(4);
    expect(delaysMs).toEqual([50, 100, 200]);
  });

  test("give up when Retry-After is longer than the longest pause", async () => {
    const { fetch, seen } = server(overloaded);

    const error = await failure(client(fetch, { retry: { delayMsMax: 1000 } }).listQueues());

    expect(seen).toHaveLength(1);
    expect(error.retryAfterMs).toBe(2000);
  });

  test("do not repeat an enqueue whose connection broke", async () => {
    let calls = 0;
    const fetch = () => {
      calls++;
      return reset();
    };

    const error = await failure(client(fetch).enqueueJob(enqueue));

    expect(calls).toBe(1);
    expect(error.code).toBe("OUTCOME_UNKNOWN");
  });

  test("repeat an enqueue that has an idempotency key", async () => {
    let calls = 0;
    const fetch = () => {
      calls++;
      return calls === 1 ? reset() : Promise.resolve(json('{"job_id":"job_1"}', 201));
    };

    await client(fetch).enqueueJob({ body: { queue: "mail", idempotency_key: "k" } });

    expect(calls).toBe(2);
  });

  test("do not follow a refusal that will not change", async () => {
    const { fetch, seen } = server(() => json('{"error":"bad","code":"VALIDATION_ERROR"}', 400));

    await failure(client(fetch).enqueueJob(enqueue));

    expect(seen).toHaveLength(1);
  });

  test("end when the caller gives up", async () => {
    const abort = new AbortController();
    const reason = new Error("gone");
    const never: Fetch = (request) =>
      new Promise((_, reject) => {
        request.signal.addEventListener("abort", () => reject(request.signal.reason));
        abort.abort(reason);
      });

    expect(client(never).listQueues({}, { signal: abort.signal })).rejects.toBe(reason);
  });

  test("count a server that never answers as unreachable", async () => {
    const hanging: Fetch = (request) =>
      new Promise((_, reject) => {
        request.signal.addEventListener("abort", () => reject(request.signal.reason));
      });
    const { timers } = instantTimers();

    const error = await failure(
      client(hanging, { timers, timeoutMs: 500, retry: { attemptsMax: 1 } }).listQueues(),
    );

    expect(error.message).toBe("cannot reach http://localhost:8080: no answer within 500 ms");
  });

  test("may end when a server let all the time for an answer pass, and not when it refused", async () => {
    let calls = 0;
    const silent: Fetch = (request) => {
      calls++;
      return new Promise((_, reject) => {
        request.signal.addEventListener("abort", () => reject(request.signal.reason));
      });
    };
    const { timers } = instantTimers();
    const options = { timers, timeoutMs: 500, retry: { endsAtSilence: true } };
    const refusing = () => {
      calls++;
      return refused();
    };

    await failure(client(silent, options).listQueues());
    expect(calls).toBe(1);
    await failure(client(refusing, { ...options, timeoutMs: 60_000 }).listQueues());
    expect(calls).toBe(5);
  });
});

describe("several servers", () => {
  const servers = { server: "http://a:1, http://b:2/,http://c:3" };
  const hosts: string[] = [];
  const only =
    (host: string, otherwise: () => Promise<Response>): Fetch =>
    (request) => {
      if (new URL(request.url).pathname === "/healthz") return Promise.resolve(new Response("ok"));
      hosts.push(new URL(request.url).host);
      return new URL(request.url).host === host ? Promise.resolve(json("[]")) : otherwise();
    };
  const noLeader = () => Promise.resolve(json('{"error":"no leader","code":"UNAVAILABLE"}', 503));

  beforeEach(() => {
    hosts.length = 0;
  });

  test.each([
    ["cannot be reached", refused],
    ["knows no leader", noLeader],
  ])("the next is asked at once when one %s, and kept", async (_, otherwise) => {
    const { timers, delaysMs } = instantTimers();
    const api = client(only("c:3", otherwise), { ...servers, timers });
    await api.listQueues();
    await api.listQueues();
    expect(hosts).toEqual(["a:1", "b:2", "c:3", "c:3"]);
    expect(delaysMs).toEqual([]);
  });

  test("the next is asked when one address leads to somebody else's server", async () => {
    const foreign = () => Promise.resolve(new Response("<html>", { status: 404 }));
    await client(only("b:2", foreign), servers).listQueues();
    expect(hosts).toEqual(["a:1", "b:2"]);
  });

  test("one that takes calls and answers none is found out before a call that cannot be repeated", async () => {
    const { timers, delaysMs } = instantTimers([awakeMsMax]);
    const asked: string[] = [];
    const fetch: Fetch = ({ url, signal }) => {
      const { host, pathname } = new URL(url);
      asked.push(host + pathname);
      if (host !== "a:1") return Promise.resolve(json('{"job_id":"j","status":"pending"}', 201));
      return new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason)),
      );
    };
    const api = client(fetch, { ...servers, timers });

    await api.enqueueJob({ body: { queue: "q" } });
    await api.enqueueJob({ body: { queue: "q" } });

    expect(asked).toEqual([
      "a:1/healthz",
      "b:2/healthz",
      "b:2/api/v1/enqueue",
      "b:2/api/v1/enqueue",
    ]);
    expect(delaysMs).toEqual([awakeMsMax, awakeMsMax]);
  });

  test("one that is silent is passed by also when each caller gives up before it is found out", async () => {
    let giveUp = (): void => {};
    const fetch: Fetch = ({ url, signal }) => {
      if (signal.aborted) return Promise.reject(signal.reason);
      if (new URL(url).host !== "a:1") return Promise.resolve(json("[]"));
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        giveUp();
      });
    };
    const api = client(fetch, servers);
    const list = () => {
      const abort = new AbortController();
      giveUp = () => abort.abort(new Error("gone"));
      return api.listQueues({}, { signal: abort.signal });
    };

    await expect(list()).rejects.toThrow("gone");
    expect(await list()).toEqual([]);
  });

  test("there is a pause only when all of them failed", async () => {
    const { timers, delaysMs } = instantTimers();
    const api = client(only("none", refused), { ...servers, timers, retry: { attemptsMax: 2 } });
    const error = await failure(api.listQueues());
    expect(hosts).toEqual(["a:1", "b:2", "c:3", "a:1", "b:2", "c:3"]);
    expect(delaysMs).toEqual([50]);
    expect(error.message).toBe("cannot reach http://c:3: connection refused");
  });

  test("one that says when to come back is heard, whoever was asked last", async () => {
    const { timers, delaysMs } = instantTimers();
    const waiting = () =>
      Promise.resolve(
        new Response('{"error":"no leader","code":"UNAVAILABLE"}', {
          status: 503,
          headers: { "retry-after": "0.25" },
        }),
      );
    let answers = 0;
    const fetch = (request: Request) => {
      const { host, pathname } = new URL(request.url);
      if (pathname === "/healthz") return Promise.resolve(new Response("ok"));
      if (host === "c:3") return refused();
      return ++answers < 5 ? waiting() : Promise.resolve(json("[]"));
    };

    const retry = { attemptsMax: 1, askedMsMax: 600 };
    await client(fetch, { ...servers, timers, retry }).listQueues();

    expect(delaysMs).toEqual([250, 250]);
  });

  test("who asks to come back at once, each time, is given up all the same", async () => {
    let calls = 0;
    const refuse = () => {
      if (++calls > 100) throw new Error("without end");
      const init = { status: 503, headers: { "retry-after": "0" } };
      return Promise.resolve(new Response('{"error":"no","code":"UNAVAILABLE"}', init));
    };

    const retry = { attemptsMax: 1, baseDelayMs: 2, askedMsMax: 10 };
    await failure(client(refuse, { retry }).listQueues());

    expect(calls).toBe(6);
  });

  test("no other is asked when the call may have been carried out, or was refused for good", async () => {
    await failure(client(only("none", reset), servers).enqueueJob({ body: { queue: "q" } }));
    const bad = () => Promise.resolve(json('{"error":"bad","code":"VALIDATION_ERROR"}', 400));
    await failure(client(only("none", bad), servers).enqueueJob({ body: { queue: "q" } }));
    expect(hosts).toEqual(["a:1", "a:1"]);
  });
});

test("an answer in pieces that its caller gave up ends with the caller's reason, not as a lost server", async () => {
  const stop = new AbortController();
  const reason = new Error("enough");
  const pieces = (async function* () {
    yield 1;
    stop.abort(reason);
    throw new Error("the connection was closed");
  })();

  const read = Array.fromAsync(piecesOf(pieces, "http://a:1", stop.signal));

  expect(await read.catch((error: unknown) => error)).toBe(reason);
});
