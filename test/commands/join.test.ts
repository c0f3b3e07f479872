/** How a node asks to be let into a cluster. */
import { expect, test } from "bun:test";
import { readJoinAddress } from "../../src/commands/_shared/readers.ts";
import { joinCluster, resolveAddress } from "../../src/commands/server/join.ts";
import { memoryLogger } from "../support/system-ports.ts";

const self = {
  uuid: "00000000-0000-4000-8000-000000000001",
  httpUrl: "http://127.0.0.1:1",
  peerAddress: "127.0.0.1:2",
  version: "0.0.0",
};

/** A member that gives these answers, one after the other. */
function member(answers: readonly { readonly status: number; readonly body: object }[]) {
  const left = [...answers];
  let calls = 0;
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: () => {
      calls += 1;
      const answer = left.shift();
      return Response.json(answer?.body ?? {}, { status: answer?.status ?? 500 });
    },
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    calls: () => calls,
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

const admitted = { status: 200, body: { cluster_id: "c", node_id: "4", peers: [] } };

test("it asks again when nobody knows whether it was let in: joining twice is joining once", async () => {
  const lost = { error: "the connection broke", code: "OUTCOME_UNKNOWN" };
  await using one = member([{ status: 503, body: lost }, admitted]);

  const joined = await joinCluster([one.url], self, memoryLogger());

  expect(joined).toEqual({ clusterId: "c", nodeId: 4, shards: 1, recoveryEpoch: 0, peers: [] });
  expect(one.calls()).toBe(2);
});

test("it gives up at once when no repetition can help", async () => {
  const refused = { error: "it belongs to another cluster", code: "CONFLICT" };
  await using one = member([{ status: 409, body: refused }]);

  const joining = joinCluster([one.url], self, memoryLogger());

  expect(joining).rejects.toThrow("it belongs to another cluster");
  await joining.catch(() => undefined);
  expect(one.calls()).toBe(1);
});

test.each([
  ["http://a.lan:80/", "http://a.lan:80"],
  ["127.0.0.1", "http://127.0.0.1:8080"],
  ["127.0.0.1:90", "http://127.0.0.1:90"],
  ["[::1]:90", "http://[::1]:90"],
  ["[::1]", "http://[::1]:8080"],
])("%s is an address to join", async (text, url) => {
  expect(await resolveAddress(readJoinAddress(text))).toEqual([url]);
});

test("a name without an address is told by the name", async () => {
  for (const name of ["nobody.invalid", "srv+nobody.invalid"]) {
    await expect(resolveAddress(readJoinAddress(name))).rejects.toThrow("the name nobody.invalid");
  }
});
