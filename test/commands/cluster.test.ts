/** The cluster commands against a server of a few lines. */
import { describe, expect, test } from "bun:test";
import { corvo, json, server } from "../support/fake-system.ts";

const status = {
  mode: "cluster",
  status: "healthy",
  summary: "Healthy: the cluster tolerates 1 failure.",
  cluster_id: "c",
  node_id: "1",
  state: "Leader",
  term: 7,
  leader_id: "1",
  leader_addr: "10.0.0.1:9090",
  commit_index: "12345",
  applied_index: "12345",
  nodes: [
    {
      id: "1",
      uuid: "u1",
      address: "10.0.0.1:9090",
      http_url: "http://10.0.0.1:8080",
      version: "0.4.0",
      voter: true,
      role: "leader",
      state: "ok",
      self: true,
      lag: 0,
      last_contact_ms: 0,
    },
    {
      id: "2",
      uuid: "u2",
      address: "10.0.0.2:9090",
      http_url: "http://10.0.0.2:8080",
      version: "0.4.0",
      voter: true,
      role: "follower",
      state: "ok",
      self: false,
      lag: 12,
      last_contact_ms: 40,
      disk_free_bytes: 51_234_567_890,
      data_bytes: 1_500_000,
    },
    {
      id: "4",
      uuid: "u4",
      address: "10.0.0.4:9090",
      http_url: "http://10.0.0.4:8080",
      version: "",
      voter: false,
      role: "learner",
      state: "catching up",
      self: false,
      lag: 1_234_567,
      last_contact_ms: 1500,
    },
    {
      id: "5",
      uuid: "u5",
      address: "10.0.0.5:9090",
      http_url: "http://10.0.0.5:8080\u001b[2J",
      version: "0.4.0",
      voter: true,
      role: "unknown",
      state: "unreachable",
      self: false,
    },
  ],
};

const answering = (body: unknown) => server(() => json(JSON.stringify(body)));
const unavailable = () => json('{"error":"no leader","code":"UNAVAILABLE"}', 503);

describe("corvo cluster status", () => {
  test("shows the nodes and, last, how the cluster is", async () => {
    const { fetch, seen } = answering(status);
    const { code, stdout, stderr } = await corvo(["cluster", "status"], { fetch });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toBe(
      [
        "NODE  ROLE      STATE        LAG        LAST CONTACT  DATA    DISK FREE  VERSION  ADDRESS",
        "1     leader    ok           0          0ms           -       -          0.4.0    http://10.0.0.1:8080",
        "2     follower  ok           12         40ms          1.5 MB  51.2 GB    0.4.0    http://10.0.0.2:8080",
        "4     learner   catching up  1,234,567  1.5s          -       -          -        http://10.0.0.4:8080",
        "5     unknown   unreachable  -          -             -       -          0.4.0    http://10.0.0.5:8080\\u001b[2J",
        "Healthy: the cluster tolerates 1 failure.",
        "",
      ].join("\n"),
    );
    expect(seen.map((call) => call.path)).toEqual(["/api/v1/cluster/status?consistency=strong"]);
  });

  test("tells what the reached node knows when the leader does not answer", async () => {
    const own = { ...status, status: "unavailable", leader_id: "", summary: "No leader is known." };
    const { fetch } = server(({ path }) =>
      path.includes("strong") ? unavailable() : json(JSON.stringify(own)),
    );
    const { code, stdout, stderr } = await corvo(["cluster", "status"], { fetch });
    expect(code).toBe(6);
    expect(stdout).toEndWith("No leader is known.\n");
    expect(stderr).toContain("node 1 answered, which does not lead");
  });

  test("writes are not taken while the leader that the reached node names does not answer", async () => {
    const { fetch } = server(({ path }) =>
      path.includes("strong") ? unavailable() : json(JSON.stringify(status)),
    );

    expect((await corvo(["cluster", "status"], { fetch })).code).toBe(6);
  });

  test("--json is the answer unchanged, and --quiet the ids", async () => {
    const text = JSON.stringify(status);
    const { fetch } = answering(status);
    expect((await corvo(["cluster", "status", "--json"], { fetch })).stdout).toBe(`${text}\n`);
    expect((await corvo(["cluster", "status", "-q"], { fetch })).stdout).toBe("1\n2\n4\n5\n");
  });

  test("--watch goes on when the server is away for a while, until Ctrl-C", async () => {
    let interrupt = () => {};
    const signals = {
      listen(callback: () => void) {
        interrupt = callback;
        return () => undefined;
      },
    };
    const { fetch } = server((_, index) => {
      if (index === 0) return json(JSON.stringify(status));
      if (index < 8) return unavailable();
      if (index === 9) interrupt();
      return json(JSON.stringify(status));
    });
    const { code, stdout, stderr } = await corvo(["cluster", "status", "--watch"], {
      fetch,
      signals,
    });
    expect(code).toBe(130);
    expect(stdout.split("Healthy").length).toBeGreaterThan(2);
    expect(stderr).toContain("no leader");
  });
});

describe("changes of the cluster", () => {
  test.each([
    [["cluster", "remove", "3", "--yes"], "remove", "node 3 is removed"],
    [["cluster", "promote", "3", "-y"], "promote", "node 3 is a voter"],
    [["cluster", "demote", "3", "-y"], "demote", "node 3 is a learner"],
    [["cluster", "transfer-leader", "3"], "transfer-leader", "leadership was handed to 3"],
  ])("%p", async (argv, path, said) => {
    const { fetch, seen } = answering({ status: "ok" });
    const { code, stderr } = await corvo(argv, { fetch });
    expect(code).toBe(0);
    expect(stderr).toContain(said);
    expect(seen.map((call) => [call.method, call.path, call.body])).toEqual([
      ["POST", `/api/v1/cluster/${path}`, '{"node":"3"}'],
    ]);
  });

  test("are asked about at a terminal, and no is an answer", async () => {
    const { fetch, seen } = answering({ status: "ok" });
    const options = { fetch, isTty: true, answer: "no" };
    const { code, stderr } = await corvo(["cluster", "remove", "3"], options);
    expect(code).toBe(1);
    expect(stderr).toContain("? Remove node 3 from the cluster for good?");
    expect(seen).toEqual([]);
  });

  test("need --yes without a terminal", async () => {
    const { fetch, seen } = answering({ status: "ok" });
    const { code, stderr } = await corvo(["cluster", "demote", "3"], { fetch });
    expect(code).toBe(2);
    expect(stderr).toContain("corvo cluster demote 3 --yes");
    expect(seen).toEqual([]);
  });

  test("leadership may go to any node", async () => {
    const { fetch, seen } = answering({ status: "ok" });
    await corvo(["cluster", "transfer-leader"], { fetch });
    expect(seen[0]?.body).toBe("{}");
  });
});

describe("several servers", () => {
  const hostOf = (request: Request) => new URL(request.url).host;

  test("are tried one after the other, whether given by flag or by CORVO_SERVER", async () => {
    const asked: string[] = [];
    const fetch = (request: Request) => {
      if (request.url.endsWith("/healthz")) return Promise.resolve(new Response("ok"));
      asked.push(hostOf(request));
      if (hostOf(request) === "a:1") {
        return Promise.reject(Object.assign(new Error("no"), { code: "ConnectionRefused" }));
      }
      return Promise.resolve(json(JSON.stringify(status)));
    };
    expect((await corvo(["cluster", "status", "--server", "a:1, b:2"], { fetch })).code).toBe(0);
    const env = { CORVO_SERVER: "http://a:1,http://b:2" };
    expect((await corvo(["cluster", "status"], { fetch, env })).code).toBe(0);
    expect(asked).toEqual(["a:1", "b:2", "a:1", "b:2"]);
  });

  test("are refused as a whole when one is no address", async () => {
    const { code, stderr } = await corvo(["status", "--server", "a:1,ftp://b"]);
    expect(code).toBe(2);
    expect(stderr).toContain('"ftp://b" is not an http address');
  });
});
