/** Searches for text on a whole node, with its index of texts and without. */
import { expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { aloneOptions } from "../../src/commands/server/identity.ts";
import { startServer } from "../../src/commands/server/start.ts";
import { liveServer } from "../support/live-server.ts";
import { memoryLogger } from "../support/system-ports.ts";
import { tempDir } from "../support/temp-dir.ts";

interface Found {
  readonly jobs: readonly { readonly id: string }[];
  readonly total: number;
  readonly total_exact: boolean;
  readonly indexed: boolean;
  readonly indexed_through?: string;
  readonly filter: string;
  readonly cursor?: string;
}

/** More than a search goes through rather than look into the index. */
const jobCount = 3000;

function jobs(count: number): object[] {
  return Array.from({ length: count }, (_, n) => ({
    queue: n % 2 === 0 ? "mail" : "sms",
    payload: { n, user: { id: 100_000 + n }, note: n % 1000 === 7 ? "Connection Refused" : "fine" },
    tags: { tenant: `tenant-${n % 100}` },
  }));
}

const q = (text: string) => `/jobs?q=${encodeURIComponent(text)}`;

test("[Q11] words, members of payloads and tags are found through the index once it came to the jobs", async () => {
  await using server = await liveServer({ shards: 1 });
  await server.post("/enqueue/batch", { jobs: jobs(jobCount) });
  type Status = { text_index: { behind: number; bytes: number } };
  // Each search stores the state, which is what the index goes by.
  while ((await server.get<Found>(q("refused"))).indexed_through === undefined);
  while ((await server.get<Status>("/status")).text_index.behind > 0) {
    await server.get(q("refused"));
  }

  for (const [text, total] of [
    ["refused", 3],
    ['"connection refused" queue:sms', 3],
    ["refused queue:mail", 0],
    ["payload.user.id=101234", 1],
    ["tag.tenant:tenant-42 payload.n<1000", 10],
    ['payload~"Refused" -payload.n=7', 2],
    ["payload.n=8 OR payload.n=9", 2],
    ["mail -state:pending", 0],
  ] as const) {
    const found = await server.get<Found>(q(text));
    expect([text, found.total, found.total_exact]).toEqual([text, total, true]);
    expect(found.jobs.length).toBe(total);
  }
  const found = await server.get<Found>(q("refused"));
  expect(found).toMatchObject({ indexed: true, filter: '"refused"' });
  const full = await server.get<{ results: unknown[]; total: number }>(
    "/search/fulltext?q=connection%20refused",
  );
  expect([full.results.length, full.total]).toEqual([3, 3]);
});

test("a text with an age gives pages that belong together", async () => {
  await using server = await liveServer();
  await server.post("/enqueue/batch", { jobs: jobs(25) });
  const ids = new Set<string>();
  let cursor = "";
  do {
    const page = await server.get<Found>(`${q("created<1h fine")}&limit=10${cursor}`);
    for (const { id } of page.jobs) ids.add(id);
    cursor = page.cursor === undefined ? "" : `&cursor=${page.cursor}`;
  } while (cursor !== "");
  expect(ids.size).toBe(24);
});

test("a slip in a text is refused with its place, wherever the text is taken", async () => {
  await using server = await liveServer();
  await server.post("/enqueue", { queue: "mail", payload: 1 });
  const filter = { q: "state:dead quue:mail" };
  for (const [method, path, body] of [
    ["GET", `/api/v1${q(filter.q)}`, undefined],
    ["POST", "/api/v1/jobs/search", filter],
    ["POST", "/api/v1/jobs/bulk", { action: "delete", filter }],
    ["POST", "/api/v1/queues/mail/redrive", { filter }],
  ] as const) {
    const answer = await server.call(method, path, body);
    expect(answer).toMatchObject({
      status: 400,
      body: { code: "SEARCH_ERROR", details: { position: 12 } },
    });
  }
});

test("a bulk action and a redrive take a text, and an empty one is no choice", async () => {
  await using server = await liveServer();
  await server.post("/enqueue/batch", { jobs: jobs(30) });

  const cancelled = await server.post<{ affected: number }>("/jobs/bulk", {
    action: "cancel",
    filter: { q: "payload.n>=20 queue:mail" },
  });
  const empty = await server.call("POST", "/api/v1/jobs/bulk", {
    action: "cancel",
    filter: { q: " " },
  });
  const sorted = await server.call("POST", "/api/v1/jobs/bulk", {
    action: "cancel",
    filter: { q: "queue:mail sort:created" },
  });

  const background = await server.call("POST", "/api/v1/jobs/bulk", {
    action: "hold",
    async: true,
    filter: { q: "queue:sms -payload.n<29" },
  });
  const { bulk_operation_id: id } = background.body as { bulk_operation_id: string };

  expect(await server.get(`/bulk/${id}`)).toMatchObject({
    filter: 'queue:"sms" -(payload.n<29)',
    total: 1,
  });
  expect(cancelled.affected).toBe(5);
  expect([empty.status, sorted.status]).toEqual([400, 400]);
  expect((await server.get<Found>(q("state:cancelled"))).total).toBe(5);
});

test("[Q13] a node whose index is damaged, gone or unwanted serves all the same", async () => {
  using dir = tempDir();
  const options = {
    host: "127.0.0.1",
    port: 0,
    dataDir: dir.path,
    cachedJobsMax: 100,
    logTailEntries: 1000,
    requireLeaseToken: false,
    payloadBytesMax: 262_144,
    bodyBytesMax: 16_777_216,
    retention: { doneMs: 1e9, doneMax: 1e6, deadMs: 1e9, deadMax: 1e6 },
    // The default port is every other server's on the machine, too.
    cluster: { ...aloneOptions, peerBind: { host: "127.0.0.1", port: 0 } },
  };
  const textPath = join(dir.path, "text.db");
  const search = async (url: string) =>
    (await (await fetch(`${url}/api/v1${q("refused")}`)).json()) as Found;
  const first = await startServer(options, memoryLogger());
  await fetch(`${first.url}/api/v1/enqueue/batch`, {
    method: "POST",
    body: JSON.stringify({ jobs: jobs(jobCount) }),
  });
  while ((await search(first.url)).indexed_through === undefined);
  await first.stop(0);
  writeFileSync(textPath, "nothing of the kind".repeat(1000));

  const second = await startServer(options, memoryLogger());
  expect((await search(second.url)).total).toBe(3);
  while ((await search(second.url)).indexed_through === undefined);
  await second.stop(0);

  const third = await startServer({ ...options, textIndex: false }, memoryLogger());
  expect(await search(third.url)).toMatchObject({ total: 3, indexed: false });
  expect(existsSync(textPath)).toBe(false);
  await third.stop(0);
});
