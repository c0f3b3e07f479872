/** Fencing, seen from outside: who lost a lease can do nothing to the job, and is told why. */
import { expect, test } from "bun:test";
import { Place, type Server } from "../support/binary.ts";

interface Claimed {
  readonly job_id: string;
  readonly lease_token: string;
  readonly attempt: number;
}

async function claim(server: Server, worker: string, leaseMs: number): Promise<Claimed> {
  return server.json<Claimed>("POST", "/api/v1/fetch", {
    queues: ["q"],
    wait_ms: 20_000,
    lease_ms: leaseMs,
    worker_id: worker,
  });
}

/** Every call by which a worker speaks for its attempt, with the same token. */
function reports({ job_id: id, lease_token }: Claimed): readonly [string, unknown][] {
  return [
    [`/api/v1/ack/${id}`, { lease_token, result: "stale" }],
    [`/api/v1/fail/${id}`, { lease_token, error: "stale", retryable: false }],
    [`/api/v1/release/${id}`, { lease_token }],
  ];
}

function batchReports({ job_id, lease_token }: Claimed): readonly [string, unknown][] {
  return [
    ["/api/v1/ack/batch", { acks: [{ job_id, lease_token, result: "stale" }] }],
    ["/api/v1/fail/batch", { fails: [{ job_id, lease_token, error: "stale" }] }],
  ];
}

test("[L4] a worker whose lease ended cannot ack, fail, release or extend, alone or in batches, and hears why", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  await server.json("POST", "/api/v1/enqueue", { queue: "q" });
  const stale = await claim(server, "slow", 100);
  const fresh = await claim(server, "quick", 60_000);
  const before = await server.call("GET", `/api/v1/jobs/${stale.job_id}`);

  for (const [path, body] of reports(stale)) {
    const answer = await server.call("POST", path, JSON.stringify(body));

    expect([path, answer.status]).toEqual([path, 409]);
    expect(JSON.parse(answer.text)).toMatchObject({
      code: "LEASE_LOST",
      error: expect.stringContaining("active under another lease, held by quick since"),
    });
  }
  for (const [path, body] of batchReports(stale)) {
    const answer = await server.json<{ results: unknown[] }>("POST", path, body);

    expect(answer.results).toEqual([expect.objectContaining({ code: "LEASE_LOST" })]);
  }
  const beat = await server.json("POST", "/api/v1/heartbeat", {
    jobs: { [stale.job_id]: { lease_token: stale.lease_token, progress: "stale" } },
  });
  const after = await server.call("GET", `/api/v1/jobs/${stale.job_id}`);

  expect(fresh).toMatchObject({ job_id: stale.job_id, attempt: 2 });
  expect(fresh.lease_token).not.toBe(stale.lease_token);
  expect(beat).toMatchObject({ jobs: { [stale.job_id]: { status: "lost" } } });
  expect(after.text).toBe(before.text);
});

test("[L5] the holder's ack counts once, a repeat of it is answered alike, and the stale worker hears the end", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  await server.json("POST", "/api/v1/enqueue", { queue: "q" });
  const stale = await claim(server, "slow", 100);
  const fresh = await claim(server, "quick", 60_000);
  const [ack] = reports(fresh);
  const body = JSON.stringify({ lease_token: fresh.lease_token, result: 1 });

  const first = await server.call("POST", ack?.[0] ?? "", body);
  const again = await server.call("POST", ack?.[0] ?? "", body);
  const late = await server.call(
    "POST",
    ack?.[0] ?? "",
    JSON.stringify({ lease_token: stale.lease_token }),
  );

  expect([first.status, again.status, late.status]).toEqual([200, 200, 409]);
  expect(again.text).toBe(first.text);
  expect(late.text).toContain("this lease is over: the job is completed");
});

test("[L4] a cancelled job's worker is told that it was cancelled", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  await server.json("POST", "/api/v1/enqueue", { queue: "q" });
  const held = await claim(server, "w", 60_000);

  await server.json("POST", `/api/v1/jobs/${held.job_id}/cancel`);
  const ack = await server.call("POST", ...jsonOf(reports(held)[0]));
  const beat = await server.json("POST", "/api/v1/heartbeat", {
    jobs: { [held.job_id]: { lease_token: held.lease_token } },
  });

  expect(ack.status).toBe(409);
  expect(ack.text).toContain("this lease is over: the job was cancelled");
  expect(beat).toMatchObject({ jobs: { [held.job_id]: { status: "cancel" } } });
});

test("[L7] with --require-lease-token no report goes without one; else a report without one speaks for any active job", async () => {
  await using place = await Place.create();
  const strict = await place.serve(["--require-lease-token"]);
  await strict.json("POST", "/api/v1/enqueue", { queue: "q" });
  const held = await claim(strict, "w", 60_000);
  const bare = [
    [`/api/v1/ack/${held.job_id}`, {}],
    [`/api/v1/fail/${held.job_id}`, { error: "x" }],
    [`/api/v1/release/${held.job_id}`, {}],
    ["/api/v1/ack/batch", { acks: [{ job_id: held.job_id }] }],
    ["/api/v1/fail/batch", { fails: [{ job_id: held.job_id, error: "x" }] }],
    ["/api/v1/heartbeat", { jobs: { [held.job_id]: {} } }],
  ] as const;

  for (const [path, body] of bare) {
    const answer = await strict.call("POST", path, JSON.stringify(body));

    expect([path, answer.status]).toEqual([path, 400]);
    expect(answer.text).toContain('"code":"LEASE_TOKEN_REQUIRED"');
  }
  await strict.stop();
  await using lax = await place.serve();
  const acked = await lax.call("POST", `/api/v1/ack/${held.job_id}`, "{}");

  expect(acked.status).toBe(200);
});

function jsonOf(report: readonly [string, unknown] | undefined): [string, string] {
  return [report?.[0] ?? "", JSON.stringify(report?.[1])];
}
