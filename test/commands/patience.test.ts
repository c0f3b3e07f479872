/** What a command waits out: an election, a restart of the server. */
import { describe, expect, test } from "bun:test";
import { corvo, json, server } from "../support/fake-system.ts";

describe("any command", () => {
  const electing = () =>
    new Response('{"error":"no leader is known","code":"UNAVAILABLE"}', {
      status: 503,
      headers: { "retry-after": "0.25" },
    });

  test("outlasts an election, and gives up when there is no end to it", async () => {
    const elected = server((_, index) => (index < 8 ? electing() : json("[]")));
    const leaderless = server(electing);

    expect((await corvo(["queue", "list"], elected)).code).toBe(0);
    expect((await corvo(["queue", "list"], leaderless)).code).toBe(6);
    expect(leaderless.seen.length).toBeLessThan(20);
  });

  test("does not wait longer than that for a server that asks for more at a time", async () => {
    const forming = server(
      () =>
        new Response('{"error":"waiting for 3 nodes","code":"UNAVAILABLE"}', {
          status: 503,
          headers: { "retry-after": "1" },
        }),
    );

    expect((await corvo(["queue", "list"], forming)).code).toBe(6);
    expect(forming.seen.length).toBe(4);
  });
});

describe("jobs wait", () => {
  const job = (state: string) => json(`{"id":"j","state":"${state}"}`);

  test("outlasts a restart of the server once the job is known", async () => {
    let calls = 0;
    const fetch = () => {
      calls++;
      if (calls === 1) return Promise.resolve(job("active"));
      if (calls === 8) return Promise.resolve(job("completed"));
      return Promise.reject(Object.assign(new Error("no"), { code: "ECONNREFUSED" }));
    };

    expect((await corvo(["jobs", "wait", "j"], { fetch })).code).toBe(0);
  });

  test("holds no call open before it knows the job, so that every wait is a patient one", async () => {
    let calls = 0;
    const fetch = (request: Request) => {
      calls++;
      if (request.url.endsWith("timeout=0")) return Promise.resolve(job("active"));
      if (calls === 8) return Promise.resolve(job("completed"));
      return Promise.reject(Object.assign(new Error("gone"), { code: "ECONNRESET" }));
    };

    expect((await corvo(["jobs", "wait", "j"], { fetch })).code).toBe(0);
  });
});

describe("queue drain --wait", () => {
  const queue = { pending: 1, active: 2, held: 0, scheduled: 1, retrying: 1 };

  test("outlasts a restart of the server", async () => {
    const emptied = { pending: 0, active: 0, held: 0, scheduled: 0, retrying: 0 };
    let looks = 0;
    const fetch = (request: Request) => {
      if (request.method === "POST") return Promise.resolve(json('{"status":"draining","left":5}'));
      looks++;
      if (looks === 1) return Promise.resolve(json(JSON.stringify(queue)));
      if (looks === 7) return Promise.resolve(json(JSON.stringify(emptied)));
      return Promise.reject(Object.assign(new Error("no"), { code: "ECONNREFUSED" }));
    };

    expect((await corvo(["queue", "drain", "mail", "--wait"], { fetch })).code).toBe(0);
  });
});

describe("an answer in pieces that breaks off", () => {
  const cut = () => {
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.error(Object.assign(new Error("socket"), { code: "ECONNRESET" }));
      },
    });
    return Promise.resolve(new Response(body, { headers: { "content-type": "image/png" } }));
  };

  test.each([[["jobs", "payload", "j"]], [["jobs", "result", "j", "--json"]], [["backup", "-"]]])(
    "is no fault of the program: %j",
    async (argv) => {
      const { code, stderr } = await corvo(argv, { fetch: cut });

      expect(stderr).toContain("before the end of its answer: the connection was closed");
      expect(code).toBe(6);
    },
  );
});
