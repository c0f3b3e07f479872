/**
 * Commands on jobs and queues as whole lines: what is sent, what is printed where, what is asked, and the exit code. The
 * answers are texts as the server sends them.
 */
import { describe, expect, test } from "bun:test";
import { jobStates } from "../../src/api/schemas.ts";
import { corvo, json, type Seen, server } from "../support/fake-system.ts";

const nowMs = Date.UTC(2026, 10, 21, 12);
const summary = {
  id: "job_00000000001",
  queue: "mail",
  state: "dead",
  payload: { to: "ada", text: "\u001b[31m" },
  priority: 2,
  attempt: 3,
  max_retries: 3,
  created_at: "2026-11-21T11:00:00.000Z",
};
const page = { jobs: [summary], total: 1, total_exact: true, has_more: false, duration_ms: 1 };
const pageText = JSON.stringify(page);

const bodies = (seen: readonly Seen[]) =>
  seen.map((call) => `${call.method} ${call.path} ${call.body}`.trim());

describe("jobs list", () => {
  test("is a table whose cells cannot steer the terminal", async () => {
    const { fetch } = server(() => json(pageText));

    const { stdout } = await corvo(["jobs", "list"], { fetch, nowMs });

    expect(stdout).toBe(
      [
        "ID               QUEUE  STATE  TRY  PRIO  AGE  PAYLOAD",
        'job_00000000001  mail   dead   3/3  2     60m  {"to":"ada","text":"\\u001b[31m"}',
        "",
      ].join("\n"),
    );
  });

  test("cuts what does not fit the terminal", async () => {
    const wide = { ...page, jobs: [{ ...summary, payload: "漢".repeat(80) }] };
    const { fetch } = server(() => json(JSON.stringify(wide)));

    const { stdout } = await corvo(["jobs", "list", "--no-color"], { fetch, nowMs, isTty: true });

    for (const line of stdout.split("\n")) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(100);
    expect(stdout).toContain("…");
  });

  test("sends a filter as text, with what flags say beside it", async () => {
    const { fetch, seen } = server(() => json(pageText));

    await corvo(["jobs", "list", "state:dead", 'payload.a="x y"', "--queue", "mail"], {
      fetch,
      nowMs,
    });
    await corvo(["jobs", "cancel", "--yes", "--filter", "queue:a"], { fetch, nowMs });

    expect(JSON.parse(seen[0]?.body ?? "")).toEqual({
      queue: "mail",
      q: 'state:dead payload.a="x y"',
    });
    expect(JSON.parse(seen[1]?.body ?? "")).toMatchObject({
      action: "cancel",
      filter: { q: "queue:a" },
    });
  });

  test("says that there may be more when a page was left empty", async () => {
    const short = { ...page, jobs: [], has_more: true, cursor: "c", indexed: false };
    const { fetch } = server(() => json(JSON.stringify(short)));

    const { stdout, stderr } = await corvo(["jobs", "list", "attempt>3"], { fetch, nowMs });

    expect(stdout).toBe("");
    expect(stderr).toContain("--cursor c");
    expect(stderr).not.toContain("no job matches");
  });

  test("sends every kind of filter, with durations as times before now", async () => {
    const { fetch, seen } = server(() => json(pageText));
    const argv = [
      "--state",
      "dead,cancelled",
      "--state=held",
      "--tag",
      "a=1",
      "--attempt-min",
      "2",
    ];
    const more = ["--no-has-errors", "--created-after", "2026-11-21T08:00:00Z", "--order", "asc"];

    await corvo(["jobs", "list", ...argv, ...more], { fetch });
    await corvo(["jobs", "list", "--created-after", "1h"], { fetch });

    expect(JSON.parse(seen[0]?.body ?? "")).toEqual({
      state: ["dead", "cancelled", "held"],
      tags: { a: "1" },
      attempt_min: 2,
      has_errors: false,
      created_after: "2026-11-21T08:00:00Z",
      order: "asc",
    });
    const { created_after: after } = JSON.parse(seen[1]?.body ?? "") as { created_after: string };
    expect(Math.abs(Date.parse(after) - (Date.now() - 3_600_000))).toBeLessThan(60_000);
  });

  test("prints ids with -q, the answer with --json, and the way to the next page", async () => {
    const more = { ...page, total: 2000, total_exact: false, has_more: true, cursor: "c1" };
    const { fetch } = server(() => json(JSON.stringify(more)));

    expect((await corvo(["jobs", "list", "-q"], { fetch })).stdout).toBe("job_00000000001\n");
    expect((await corvo(["jobs", "list", "--json"], { fetch })).stdout).toBe(
      `${JSON.stringify(more)}\n`,
    );
    expect((await corvo(["jobs", "list"], { fetch })).stderr).toBe(
      "1 of at least 2,000 jobs; the next page: --cursor c1\n",
    );
  });
});

describe("jobs get", () => {
  test("shows the job with its attempts, the payload as it was sent", async () => {
    const attempt = {
      id: "a1",
      job_id: summary.id,
      attempt: 1,
      outcome: "failed",
      error: "boom",
      backtrace: "at a\n\tat b",
      output: "tried\n",
      worker_id: "w1",
      created_at: "2026-11-21T11:00:01.000Z",
    };
    const job = {
      ...summary,
      retry_backoff: "fixed",
      retry_base_delay_ms: 5000,
      retry_max_delay_ms: 60_000,
      tags: { a: "1" },
      dead_reason: "no attempts left",
      errors: [attempt],
      attempts: [attempt],
    };
    const text = JSON.stringify(job).replace('{"to":"ada"', '{ "n": 1.0, "to":"ada"');
    const { fetch } = server(() => json(text));

    const { stdout } = await corvo(["jobs", "get", summary.id], { fetch });

    expect(stdout).toContain("job_00000000001  dead");
    expect(stdout).toContain("backoff       fixed, from 5s to 1m");
    expect(stdout).toContain("dead because  no attempts left");
    expect(stdout).toContain('\n  { "n": 1.0, "to":"ada"');
    expect(stdout).toContain(
      "Attempt 1  failed, 2026-11-21T11:00:01.000Z by w1\n  boom\n  at a\n      at b\n  output:\n  tried\n",
    );
    expect(stdout.match(/Attempt 1/g)).toHaveLength(1);
  });
});

describe("an action", () => {
  const ok = () => json('{"status":"ok"}');

  test("on one id is one call", async () => {
    const { fetch, seen } = server(ok);

    const { stdout, stderr } = await corvo(["jobs", "retry", "job_1"], { fetch });
    await corvo(["jobs", "delete", "job_1"], { fetch });
    await corvo(["jobs", "hold", "job_1", "--reason", "legal"], { fetch });
    await corvo(["jobs", "move", "job_1", "--to", "slow"], { fetch });
    await corvo(["move", "job_1", "slow"], { fetch });

    expect(bodies(seen)).toEqual([
      "POST /api/v1/jobs/job_1/retry {}",
      "DELETE /api/v1/jobs/job_1",
      'POST /api/v1/jobs/job_1/hold {"reason":"legal"}',
      'POST /api/v1/jobs/job_1/move {"queue":"slow"}',
      'POST /api/v1/jobs/job_1/move {"queue":"slow"}',
    ]);
    expect(stdout).toBe("");
    expect(stderr).toBe("job_1 was retried\n");
  });

  test("on ids from a pipe is one bulk call, and partial success exits 7", async () => {
    // The server counts errors among the jobs that it found; one id was not found at all.
    const { fetch, seen } = server(() => json('{"affected":1,"errors":1}'));

    const ran = await corvo(["jobs", "cancel", "-"], { fetch, stdin: "job_1\njob_2 job_3\n" });

    expect(bodies(seen)).toEqual([
      'POST /api/v1/jobs/bulk {"job_ids":["job_1","job_2","job_3"],"action":"cancel"}',
    ]);
    expect(ran.stderr).toContain("1 job was cancelled");
    expect(ran.stderr).toContain("2 jobs were not");
    expect(ran.code).toBe(7);
  });

  test("by filter counts first, and asks a script to say --yes with the line to repeat", async () => {
    const { fetch, seen } = server(() => json('{"matched":412}'));
    const argv = ["jobs", "retry", "--state", "dead", "--tag", "a=b c", "--api-key", "secret"];

    const { code, stderr } = await corvo(argv, { fetch });

    expect(bodies(seen)).toEqual([
      'POST /api/v1/jobs/bulk {"filter":{"state":["dead"],"tags":{"a":"b c"}},"action":"retry","dry_run":true}',
    ]);
    expect(stderr).toContain("Retry 412 jobs?");
    expect(stderr).toContain(
      `corvo jobs retry --state dead --tag 'a=b c' --api-key "$CORVO_API_KEY" --yes`,
    );
    expect(stderr).not.toContain("secret");
    expect(code).toBe(2);
  });

  test("by filter at a terminal is done after a yes, and only then", async () => {
    const answers = () =>
      server((_, index) => json(index === 0 ? '{"matched":2}' : '{"affected":2}'));
    const argv = ["jobs", "retry", "--state", "dead", "--no-color"];
    const [yes, no, left] = [answers(), answers(), answers()];

    const agreed = await corvo(argv, { fetch: yes.fetch, isTty: true, answer: "yes" });
    const declined = await corvo(argv, { fetch: no.fetch, isTty: true, answer: "no" });
    const interrupted = await corvo(argv, { fetch: left.fetch, isTty: true });

    expect(agreed).toEqual({
      code: 0,
      stdout: "",
      stderr: "? Retry 2 jobs?\n2 jobs were retried\n",
    });
    expect(declined.stderr).toBe("? Retry 2 jobs?\nnothing was changed\n");
    expect([declined.code, interrupted.code]).toEqual([1, 130]);
    expect([yes, no, left].map((one) => one.seen.length)).toEqual([2, 1, 1]);
  });

  test("by filter with --yes follows a background action to its end", async () => {
    const answers = [
      '{"matched":9000}',
      '{"bulk_operation_id":"b1","status":"running"}',
      '{"id":"b1","status":"running","total":9000,"processed":4500,"affected":4500,"errors":0}',
      '{"id":"b1","status":"completed","total":9000,"processed":9000,"affected":9000,"errors":0,"finished_at":"x"}',
    ];
    const { fetch, seen } = server((_, index) => json(answers[index] ?? ""));

    const { code, stderr } = await corvo(["jobs", "delete", "--queue", "q", "--yes"], { fetch });

    expect(seen[2]?.path).toBe("/api/v1/bulk/b1");
    expect(stderr).toContain("50 %  4,500 of 9,000 jobs");
    expect(stderr).toContain("9,000 jobs were deleted");
    expect(code).toBe(0);
  });

  test("with --dry-run only counts", async () => {
    const { fetch, seen } = server(() => json('{"matched":1}'));

    const { stdout } = await corvo(["jobs", "move", "--all", "--to", "b", "--dry-run"], { fetch });

    expect(stdout).toBe("1 job would be moved\n");
    const states = JSON.stringify(jobStates);
    expect(bodies(seen)).toEqual([
      `POST /api/v1/jobs/bulk {"filter":{"state":${states}},"move_to_queue":"b","action":"move","dry_run":true}`,
    ]);
  });

  test.each([
    ["one, only counted", ["cancel", "queue:mail", "--dry-run"], '{"matched":0}'],
    ["one, as JSON", ["delete", "queue:mail", "--dry-run", "--json"], '{"matched":0}'],
    ["one, without a call of its own", ["requeue", "queue:mail"], '{"matched":0,"affected":0}'],
    [
      "one, in the background",
      ["retry", "queue:mail", "--background"],
      '{"bulk_operation_id":"b1","estimated_total":0}',
    ],
  ])("on an id that no job has says so: %s", async (_, argv, answer) => {
    const { fetch } = server(() => json(answer));

    const { code, stdout, stderr } = await corvo(["jobs", ...argv], { fetch });

    expect(stderr).toBe(
      'error: no job "queue:mail"\nhint: To choose jobs by a filter: --filter queue:mail\n',
    );
    expect(stdout).toBe("");
    expect(code).toBe(3);
  });

  test("on an id that no job has and that looks like a filter names --filter", async () => {
    const error = { error: 'no job "x"', code: "NOT_FOUND", hint: "Check the id." };
    const { fetch } = server(() => json(JSON.stringify(error), 404));

    const filter = await corvo(["jobs", "cancel", "state:dead queue:mail"], { fetch });
    const id = await corvo(["jobs", "cancel", "job_1"], { fetch });

    expect(filter.stderr).toContain("--filter 'state:dead queue:mail'");
    expect(id.stderr).toContain("hint: Check the id.");
    expect([filter.code, id.code]).toEqual([3, 3]);
  });

  test.each([
    [["cancel", "job_1", "queue:mail", "--dry-run"], '{"matched":1}', "1 of 2 ids"],
    [
      ["cancel", "job_1", "queue:mail", "--background"],
      '{"bulk_operation_id":"b1","estimated_total":1}',
      "1 of 2 ids",
    ],
    [["cancel", "job_1", "queue:mail"], '{"matched":1,"affected":1}', "1 job was not"],
  ])("on ids of which some are unknown is a part: %j", async (argv, answer, says) => {
    const { fetch } = server(() => json(answer));

    const { code, stderr } = await corvo(["jobs", ...argv], { fetch });

    expect(stderr).toContain(says);
    expect(stderr).toContain("--filter queue:mail");
    expect(code).toBe(7);
  });

  test("does nothing when no job matches", async () => {
    const { fetch, seen } = server(() => json('{"matched":0}'));

    const { code } = await corvo(["jobs", "retry", "--state", "dead"], { fetch });

    expect(seen).toHaveLength(1);
    expect(code).toBe(0);
  });

  test.each([
    [["jobs", "delete"], "neither ids nor a filter"],
    [["jobs", "delete", "job_1", "--state", "dead"], "both ids and a filter"],
    [["jobs", "delete", "job_1", "--all"], "both ids and a filter"],
    [["jobs", "move", "job_1"], "the target queue is missing"],
    [["jobs", "move", "job_1", "--to", "no spaces"], "--to is"],
    [["jobs", "hold", "a", "b", "--reason", "x"], "--reason is for one job"],
  ])("%j is refused", async (argv, message) => {
    const { code, stderr } = await corvo(argv);

    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });
});

describe("jobs wait", () => {
  const job = (state: string, more = "") => json(`{"id":"j","state":"${state}"${more}}`);

  test("prints the result as it was sent", async () => {
    const { fetch, seen } = server((_, index) =>
      index === 0 ? job("active") : job("completed", ',"result":{ "n": 1.0 }'),
    );

    const { code, stdout } = await corvo(["jobs", "wait", "j"], { fetch });

    expect(stdout).toBe('{ "n": 1.0 }\n');
    expect(seen[0]?.path).toBe("/api/v1/jobs/j/wait?timeout=60");
    expect(code).toBe(0);
  });

  test("says what a result of bytes is, and how to have it", async () => {
    const bytes = ',"result":null,"result_type":"image/png","result_bytes":3';
    const { fetch } = server(() => job("completed", bytes));

    const alone = await corvo(["jobs", "wait", "j"], { fetch });
    const both = await corvo(["jobs", "wait", "j", "k"], { fetch });

    expect(alone).toMatchObject({ code: 0, stdout: "" });
    expect(alone.stderr).toBe("the result is image/png, 3 B: corvo jobs result j\n");
    expect(both).toMatchObject({ code: 0 });
    expect(both.stdout).toStartWith("j\tcompleted\timage/png, 3 B\n");
  });

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

  test("exits 1 for a dead job and 6 when the time is over", async () => {
    const dead = server(() => job("dead", ',"dead_reason":"no attempts left"'));
    const slow = server(() => job("active"));

    const first = await corvo(["jobs", "wait", "j"], dead);
    const second = await corvo(["jobs", "wait", "j", "--timeout", "0"], slow);

    expect(first.stderr).toBe("j is dead: no attempts left\n");
    expect(first.code).toBe(1);
    expect(second.stderr).toContain("the time is over");
    expect(second.code).toBe(6);
  });
});

describe("queues", () => {
  const queue = {
    name: "mail",
    paused: true,
    created_at: "2026-11-21T11:00:00.000Z",
    pending: 1,
    active: 2,
    held: 0,
    completed: 4,
    dead: 0,
    scheduled: 1,
    retrying: 1,
    cancelled: 0,
    enqueued: 9,
    failed: 0,
    oldest_pending_at: "2026-11-21T11:59:00.000Z",
  };

  test("are listed with their counts", async () => {
    const { fetch } = server(() => json(JSON.stringify([queue])));

    const { stdout } = await corvo(["queue", "list"], { fetch, nowMs });

    expect(stdout.split("\n")[1]).toBe(
      "mail   1        2       1          1         0     4          0     60s     paused",
    );
  });

  test("are cleared and deleted only on a clear word", async () => {
    const { fetch, seen } = server((call) =>
      call.method === "GET" ? json(JSON.stringify(queue)) : json('{"status":"ok","deleted":3}'),
    );

    const asked = await corvo(["queue", "clear", "mail"], { fetch });
    const cleared = await corvo(["queue", "clear", "mail", "--yes"], { fetch });
    const deleted = await corvo(["destroy", "mail", "--confirm"], { fetch });

    expect(asked.stderr).toContain("Delete 3 waiting jobs of mail?");
    expect(asked.code).toBe(2);
    expect(cleared.stderr).toBe("3 jobs of mail deleted\n");
    expect(deleted.stderr).toBe("mail and 3 jobs deleted\n");
    expect(bodies(seen)).toEqual([
      "GET /api/v1/queues/mail",
      "POST /api/v1/queues/mail/clear {}",
      "DELETE /api/v1/queues/mail",
    ]);
  });

  test("are deleted at a terminal when their name is typed", async () => {
    const { fetch, seen } = server((call) =>
      call.method === "GET" ? json(JSON.stringify(queue)) : json('{"status":"ok","deleted":9}'),
    );
    const argv = ["queue", "delete", "mail"];

    const wrong = await corvo(argv, { fetch, isTty: true, answer: "yes" });
    const right = await corvo(argv, { fetch, isTty: true, answer: "mail" });

    expect(wrong.stderr).toContain("Delete mail with all its 9 jobs? Type mail to go on.");
    expect([wrong.code, right.code]).toEqual([1, 0]);
    expect(seen.map((call) => call.method)).toEqual(["GET", "GET", "DELETE"]);
  });

  test("can be paused several at a time, and the answer is still one document", async () => {
    const { fetch } = server(() => json('{"status":"ok"}'));

    const { stdout } = await corvo(["queue", "pause", "a", "b", "--json"], { fetch });

    expect(stdout).toBe('[{"status":"ok"},{"status":"ok"}]\n');
  });
});

describe("queue redrive", () => {
  const redrive = (state: string) =>
    json(
      JSON.stringify({
        ...{ queue: "mail", state, total: 3, total_exact: true, retried: 3, skipped: 0 },
        started_at: "2026-11-21T11:00:00.000Z",
      }),
    );

  test("with --wait outlasts a restart of the server", async () => {
    let calls = 0;
    const fetch = () => {
      calls++;
      if (calls === 1) return Promise.resolve(redrive("running"));
      if (calls === 8) return Promise.resolve(redrive("completed"));
      return Promise.reject(Object.assign(new Error("no"), { code: "ECONNREFUSED" }));
    };

    const { code, stderr } = await corvo(["queue", "redrive", "mail", "--wait"], { fetch });

    expect(stderr).toBe("mail: completed, 3 of 3 dead jobs run again\n");
    expect(code).toBe(0);
  });
});

describe("version", () => {
  test("does not need a server", async () => {
    const { code, stdout } = await corvo(["version", "--json"]);

    expect(JSON.parse(stdout)).toMatchObject({ server: null, bun: Bun.version });
    expect(code).toBe(0);
  });
});
