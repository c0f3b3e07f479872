/** A node that drains: which leases it knows of, and what its clients may still do. */
import { afterEach, expect, test } from "bun:test";
import fc from "fast-check";
import type { StreamService } from "../../src/api/stream.ts";
import { RawJson, stringifyJson } from "../../src/base/json.ts";
import { Drain } from "../../src/net/http/drain.ts";
import { pair, started, stopAll } from "../support/follower.ts";
import { httpFixture } from "../support/http-app.ts";
import { streamClient } from "../support/socket.ts";

afterEach(stopAll);

const lease = (token: number) => `{"job_id":"j","lease_token":"${token.toString(36)}","queue":"q"}`;
const tokenOf = (text: string) => (/^[0-9a-z]{1,11}$/.test(text) ? Number.parseInt(text, 36) : -1);

test("the leases that went out are counted as long as they live", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(10_000)), fc.uniqueArray(fc.nat(10_000)), (given, dead) => {
      const drain = new Drain({
        tokenOf,
        streamLeases: () => [],
        isLive: (token) => !dead.includes(token),
      });
      drain.note(`{"jobs":[${given.map((n) => lease(n)).join(",")}]}`);
      const alive = given.filter((token) => token > 0 && !dead.includes(token));
      expect(drain.hasLeases).toBe(alive.length > 0);
      expect(drain.leaseCount).toBe(alive.length);
    }),
  );
});

test("what never was a lease, or has no end, is passed over", () => {
  const drain = new Drain({ tokenOf, streamLeases: () => [], isLive: () => true });
  drain.note('{"lease_token":"NO TOKEN"}{"lease_token":""}{"lease_token":"zz');
  expect(drain.leaseCount).toBe(0);
});

test("leases that are over do not pile up", () => {
  const seen = new Set<number>();
  const drain = new Drain({
    tokenOf,
    streamLeases: () => [],
    isLive: (token) => {
      seen.add(token);
      return false;
    },
  });
  for (let token = 1; token <= 65_536; token++) drain.note(lease(token));
  expect(seen.size).toBe(65_536);
});

const drainOf = (state: { isLive: boolean }, streamLeases: readonly number[] = []) =>
  new Drain({ tokenOf, streamLeases: () => streamLeases, isLive: () => state.isLive });
const claimed = { job_id: "j", lease_token: "k", lease_duration: 1 } as const;

test("claims are refused, also those that wait, but not what another node passes on", async () => {
  const { promise: waits, resolve: wait } = Promise.withResolvers<void>();
  const drain = drainOf({ isLive: true });
  let isThereWork = false;
  const fixture = httpFixture({
    drain,
    handlers: {
      fetchJobs: (_, { signal }) =>
        new Promise((resolve) => {
          if (isThereWork) return resolve({ jobs: [{ ...job(), ...claimed }] });
          signal.addEventListener("abort", () => resolve({ jobs: [] }));
          wait();
        }),
    },
  });
  started.push(fixture);
  const url = fixture.listen();
  const post = (headers: Record<string, string> = {}) =>
    fetch(`${url}/api/v1/fetch/batch`, { method: "POST", body: '{"queues":["q"]}', headers });

  const waiting = post();
  await waits;
  drain.begin();
  expect(await (await waiting).json()).toEqual({ jobs: [] });
  expect(drain.isDone).toBe(true);
  const refused = await post();
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);

  isThereWork = true;
  const passedOn = await post({ "x-corvo-forwarded": "1" });
  expect([passedOn.status, drain.leaseCount]).toEqual([200, 0]);
});

test("a claim that is passed on to the leader counts where it came from", async () => {
  const state = { isLive: true };
  const drain = drainOf(state);
  const { url } = pair(
    { handlers: { fetchJobs: async () => ({ jobs: [{ ...job(), ...claimed }] }) } },
    { drain },
  );

  await (
    await fetch(`${url}/api/v1/fetch/batch`, { method: "POST", body: '{"queues":["q"]}' })
  ).json();
  drain.begin();

  expect([drain.leaseCount, drain.isDone]).toEqual([1, false]);
  state.isLive = false;
  expect([drain.leaseCount, drain.isDone]).toEqual([0, true]);
});

test("leases in an answer that passes in pieces are found, wherever it is cut", async () => {
  const filler = { ...job(), payload: new RawJson(JSON.stringify("x".repeat(9000))) };
  const tokens = Array.from({ length: 100 }, (_, n) => (1000 + n).toString(36));
  const jobs = tokens.map((lease_token) => ({ ...filler, ...claimed, lease_token }));
  const drain = drainOf({ isLive: true });
  const { url } = pair({ handlers: { fetchJobs: async () => ({ jobs }) } }, { drain });

  const answer = await fetch(`${url}/api/v1/fetch/batch`, {
    method: "POST",
    body: '{"queues":["q"]}',
  });
  const { jobs: got } = (await answer.json()) as { jobs: unknown[] };

  expect(got).toHaveLength(100);
  expect(drain.leaseCount).toBe(100);
});

function job() {
  return {
    queue: "q",
    payload: new RawJson("1"),
    attempt: 1,
    max_retries: 1,
    lease_expires_at: "2026-01-01T00:00:00.000Z",
    priority: 2,
    created_at: "2026-01-01T00:00:00.000Z",
  };
}

test.each(["on the leader", "on a follower"])(
  "[S15] streams have to connect again, and then may report but not claim, %s",
  async (where) => {
    const frames: string[] = [];
    const service: StreamService = {
      open: (push) => {
        let mayClaim = true;
        return {
          frame: async (frame) => {
            frames.push(stringifyJson(frame));
            const credits = mayClaim ? (frame.claim?.credits ?? 0) : 0;
            if (credits > 0) push(`{"jobs":[${stringifyJson({ ...job(), ...claimed })}]}`);
            return JSON.stringify({ id: frame.id });
          },
          drained() {},
          stopClaiming() {
            mayClaim = false;
          },
          close() {},
        };
      },
    };
    const state = { isLive: true };
    // On the leader the sessions know their leases; a follower reads them off the frames.
    const drain = drainOf(state, where === "on the leader" ? [tokenOf(claimed.lease_token)] : []);
    const options = { stream: service, drain };
    const { url, leaderUrl } = where === "on the leader" ? pair(options) : pair(options, { drain });
    const target = where === "on the leader" ? leaderUrl : url;
    const claim = '"claim":{"queues":["q"],"credits":3}';

    const first = await streamClient(target);
    first.socket.send(`{"id":1,${claim}}`);
    expect(await first.next()).toMatchObject({ jobs: [claimed] });
    expect(await first.next()).toEqual({ id: 1 });
    drain.begin();
    expect(await first.next()).toEqual({ closing: true });
    // What is on its way has a moment: a frame is still answered, and brings no jobs.
    first.socket.send(`{"id":2,${claim}}`);
    expect(await first.next()).toEqual({ id: 2 });
    expect((await first.closed).reason).toBe("connect again: this node is draining");

    const again = await streamClient(target);
    const ack = '"ack":[{"job_id":"j","lease_token":"k","result":{"n":12345678901234567890}}]';
    again.socket.send(`{"id":3,${ack},${claim}}`);
    expect(await again.next()).toEqual({ id: 3 });
    expect(frames.at(-1)).toContain(ack);
    expect(drain.isDone).toBe(false);

    state.isLive = false;
    expect(await again.next()).toEqual({ closing: true });
    expect((await again.closed).code).toBe(1012);
    expect(drain.isDone).toBe(true);
  },
);
