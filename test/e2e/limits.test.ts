/** Limits as a user meets them: set on the command line, felt by workers, gone on after a crash. */
import { expect, test } from "bun:test";
import { Place } from "../support/binary.ts";

interface Claimed {
  readonly job_id: string;
  readonly lease_token: string;
}

test("limits set on the command line stop what they should, and outlive a kill", async () => {
  await using place = await Place.create();
  const first = await place.serve();
  await place.shell("corvo limit set --queue calls --each-key --concurrency 1");
  await place.shell("corvo limit set --resource gpu --concurrency 3");
  await place.shell("corvo enqueue calls 1 --limit-key a");
  await place.shell("corvo enqueue calls 2 --limit-key a");
  await place.shell("corvo enqueue calls 3 --limit-key b --resources gpu=2");
  await place.shell("corvo enqueue train 4 --resources gpu=2");

  const claims = { queues: ["calls", "train"], count: 10, wait_ms: 0 };
  const { jobs } = await first.json<{ jobs: { payload: number }[] }>(
    "POST",
    "/api/v1/fetch/batch",
    claims,
  );
  await first.stop("SIGKILL");
  await using second = await place.serve();
  const none = await second.json<{ jobs: unknown[] }>("POST", "/api/v1/fetch/batch", claims);
  const list = await place.shell("corvo limit list");

  expect(jobs.map(({ payload }) => payload)).toEqual([1, 3]);
  expect(none.jobs).toEqual([]);
  expect(list.stdout).toMatch(/resource gpu +3 at once +2 +open/);
  expect(list.stdout).toContain("calls each key");
});

test("a worker that waits gets the job when the one before it of the key is done, or its pause is over", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  const fetch = (waitMs: number) =>
    server.json<{ jobs: Claimed[] }>("POST", "/api/v1/fetch/batch", {
      queues: ["orders"],
      count: 5,
      wait_ms: waitMs,
    });
  await place.shell("corvo enqueue orders 1 --fifo-key o --limit-key shop");
  await place.shell("corvo enqueue orders 2 --fifo-key o --limit-key shop");

  const [one] = (await fetch(0)).jobs;
  const blocked = await place.shell("corvo queue blocked orders");
  const waiting = fetch(20_000);
  await server.json("POST", `/api/v1/fail/${one?.job_id}`, {
    lease_token: one?.lease_token,
    error: "429",
    pause: "300ms",
    pause_scope: "key",
    keep_attempt: true,
  });
  const again = (await waiting).jobs;
  const next = fetch(20_000);
  await server.json("POST", `/api/v1/ack/${again[0]?.job_id}`, {
    lease_token: again[0]?.lease_token,
  });
  const two = (await next).jobs;

  expect(blocked.stdout).toMatch(new RegExp(`o +${one?.job_id} +active +1`));
  expect(again.map((job) => job.job_id)).toEqual([one?.job_id ?? ""]);
  expect(again[0]).toMatchObject({ attempt: 1 });
  expect(two).toMatchObject([{ payload: 2 }]);
});

test("0.3's concurrency and throttle calls limit the queue, and show in it", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  const call = (method: "POST" | "DELETE", path: string, body?: object) =>
    server.json<{ status: string }>(method, `/api/v1/queues/mail/${path}`, body);

  const answers = [
    await call("POST", "concurrency", { max: 7 }),
    await call("POST", "throttle", { rate: 2, window_ms: 3_600_000 }),
  ];
  const limited = await server.json("GET", "/api/v1/queues/mail");
  for (const payload of [1, 2, 3]) {
    await server.json("POST", "/api/v1/enqueue", { queue: "mail", payload });
  }
  const { jobs } = await server.json<{ jobs: unknown[] }>("POST", "/api/v1/fetch/batch", {
    queues: ["mail"],
    count: 9,
    wait_ms: 0,
  });
  answers.push(await call("DELETE", "throttle"), await call("POST", "concurrency", { max: 0 }));
  const free = await server.json("GET", "/api/v1/queues/mail");

  expect(answers).toEqual(Array(4).fill({ status: "ok" }));
  expect(limited).toMatchObject({ max_concurrency: 7, rate_limit: 2, rate_window_ms: 3_600_000 });
  expect(jobs).toHaveLength(2);
  expect(Object.keys(free as object)).not.toContain("rate_limit");
});
