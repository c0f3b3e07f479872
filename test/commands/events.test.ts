/** `corvo events` and `corvo jobs log` as whole lines: what is asked of the server, and what is printed. */
import { expect, test } from "bun:test";
import { corvo, json, server } from "../support/fake-system.ts";

const job = "job_1a201d63a78000000000000001";
const page = {
  events: [
    { seq: 7, type: "enqueued", job_id: job, queue: "mail", at_ns: 1795327146616000000 },
    {
      seq: 8,
      type: "failed",
      job_id: job,
      queue: "mail",
      at_ns: 1795327146649000000,
      attempt: 1,
      data: { state: "retrying", error: "\u001b[31m" },
    },
    { seq: 9, type: "queue_paused", queue: "mail", at_ns: 1795327146650000000 },
  ],
  cursor: "9",
  has_more: true,
};

test("the latest events are a line each, which cannot steer the terminal", async () => {
  const { fetch, seen } = server(() => json(JSON.stringify(page)));

  const { stdout, stderr } = await corvo(["events", "--queue", "mail", "--type=failed,dead"], {
    fetch,
  });

  expect(seen.map(({ path }) => path)).toEqual([
    "/api/v1/cluster/events?tail=20&limit=1000&queues=mail&types=failed%2Cdead",
  ]);
  expect(stdout.split("\n")).toEqual([
    `2026-11-22T05:59:06.616Z  enqueued           ${job}  mail`,
    `2026-11-22T05:59:06.649Z  failed             ${job}  mail  attempt 1  {"state":"retrying","error":"\\u001b[31m"}`,
    `2026-11-22T05:59:06.650Z  queue_paused       ${" ".repeat(30)}  mail`,
    "",
  ]);
  expect(stderr).toContain("there are more: --after 9");
});

test("programs get a line of JSON for each event, as the server sent it", async () => {
  const { fetch, seen } = server(() => json(JSON.stringify(page)));

  const { stdout } = await corvo(["events", "--after", "6", "--limit", "3", "--json"], { fetch });

  expect(seen.map(({ path }) => path)).toEqual(["/api/v1/cluster/events?after_seq=6&limit=3"]);
  const lines = stdout.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual(page.events);
  expect(lines[0]).toContain('"at_ns":1795327146616000000');
});

test("where to begin is said once", async () => {
  const { code, stderr } = await corvo(["events", "--after", "6", "--last", "3"]);

  expect(code).toBe(2);
  expect(stderr).toContain("--after and --last exclude each other");
});

test("an event that is not kept any more is named, with what to do", async () => {
  const body = { error: "event 7 is not kept any more; the oldest is 90", code: "EVENTS_GONE" };
  const { fetch } = server(() => json(JSON.stringify(body), 410));

  const { code, stderr } = await corvo(["events", "--after", "6"], { fetch });

  expect(code).toBe(3);
  expect(stderr).toContain("event 7 is not kept any more");
  expect(stderr).toContain("after_seq=0");
});

test("the story of a job names it only in the call, and says when it is not whole", async () => {
  const [enqueued, failed] = page.events;
  const answer = { events: [enqueued, failed], complete: false };
  const { fetch, seen } = server(() => json(JSON.stringify(answer)));

  const { stdout, stderr } = await corvo(["jobs", "log", job], { fetch });

  expect(seen.map(({ path }) => path)).toEqual([`/api/v1/jobs/${job}/events`]);
  expect(stdout).toBe(
    [
      "2026-11-22T05:59:06.616Z  enqueued",
      '2026-11-22T05:59:06.649Z  failed             attempt 1  {"state":"retrying","error":"\\u001b[31m"}',
      "",
    ].join("\n"),
  );
  expect(stderr).toContain("some are not kept any more");
});
