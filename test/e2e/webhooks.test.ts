/** Webhooks of three nodes whose leader is killed again and again while it delivers. */
import { expect, test } from "bun:test";
import { Cluster, until } from "../support/cluster/cluster.ts";
import { Receiver } from "../support/receiver.ts";

const jobs = 300;

test("kill -9 of leaders loses no delivery, and what is sent twice has the same id and the same event", async () => {
  using receiver = new Receiver();
  await using cluster = await Cluster.of(3, { words: ["--webhook-allow", "127.0.0.1"] });
  const call = async (method: string, path: string, body?: object) =>
    until(`${method} ${path}`, async () => {
      const { url } = cluster.running[0] ?? { url: "" };
      const init = body === undefined ? { method } : { method, body: JSON.stringify(body) };
      const response = await fetch(`${url}/api/v1${path}`, init);
      return response.ok ? ((await response.json()) as Record<string, unknown>) : undefined;
    });
  // One in five is refused at first, so there is always something to send again.
  const refused = new Set<string>();
  receiver.answer = ({ headers }) => {
    const id = headers["webhook-id"] ?? "";
    if (refused.has(id) || refused.size * 5 > receiver.calls.length) return 200;
    refused.add(id);
    return 503;
  };
  const hook = { id: "audit", url: receiver.url, events: ["enqueued", "cancelled"] };
  await call("POST", "/webhooks", { ...hook, retry_limit: 20 });

  const ids: string[] = [];
  for (let round = 0; round < 3; round++) {
    const batch = Array.from({ length: jobs / 3 }, () => ({
      ...{ queue: "q", callback_url: `${receiver.url}/callback` },
    }));
    // Without an answer it is not known whether they were added; with this key they are once.
    const made = await call("POST", "/enqueue/batch", {
      jobs: batch,
      idempotency_key: `r${round}`,
    });
    const job_ids = made["job_ids"] as string[];
    ids.push(...job_ids);
    const body = { action: "cancel", job_ids };
    await call("POST", "/jobs/bulk", body);
    const leader = await cluster.leader();
    await leader.kill();
    await leader.start();
  }

  const keyOf = (type: string, id: string) => `${type} ${id}`;
  const wanted = ids.flatMap((id) => [
    ...[
      keyOf("audit enqueued", id),
      keyOf("audit cancelled", id),
      keyOf("callbacks cancelled", id),
    ],
  ]);
  const taken = () =>
    new Set(
      receiver.calls.map(({ body: { webhook_id, event } }) =>
        keyOf(`${webhook_id} ${event.type}`, event.job_id ?? ""),
      ),
    );
  await until(
    "all deliveries have arrived",
    async () => {
      const { waiting, delivered, failed } = await call("GET", "/webhooks/audit");
      return waiting === 0 && failed === 0 && Number(delivered) === 2 * jobs;
    },
    60_000,
  );
  await until("all results have arrived", async () => taken().size === wanted.length, 30_000);
  expect(taken()).toEqual(new Set(wanted));

  const events = new Map<string, string>();
  for (const { headers, body } of receiver.calls) {
    const id = headers["webhook-id"] ?? "";
    const event = JSON.stringify(body.event);
    expect(events.get(id) ?? event).toBe(event);
    events.set(id, event);
  }
  expect(events.size).toBe(wanted.length);
}, 150_000);
