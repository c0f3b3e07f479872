/**
 * Imports over whole command lines, against a server of one function that keeps what it was sent; and the splitter alone,
 * on random documents cut at random places.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { RecordSplitter, recordLengthMax } from "../../src/commands/_shared/record-splitter.ts";
import { corvo, json, server } from "../support/fake-system.ts";

interface Batch {
  readonly jobs: readonly Record<string, unknown>[];
  readonly idempotency_key: string;
}

/** A server that adds everything, except payloads `"refuse"`, and calls payloads `"again"` duplicates. */
function importServer() {
  const batches: Batch[] = [];
  const { fetch, seen } = server((call) => {
    const batch = JSON.parse(call.body) as Batch;
    if (batch.jobs.some((job) => job["payload"] === "refuse")) {
      return json('{"error":"payload is refused","code":"VALIDATION_ERROR"}', 400);
    }
    batches.push(batch);
    const results = batch.jobs.map((job, index) => ({
      job_id: `job_${index}`,
      status: job["payload"] === "again" ? "duplicate" : "pending",
      unique_existing: job["payload"] === "again",
    }));
    return json(JSON.stringify({ job_ids: [], results }), 201);
  });
  return { fetch, seen, batches };
}

const run = (stdin: string, fetch: ReturnType<typeof importServer>["fetch"], more: string[] = []) =>
  corvo(["enqueue", "mail", "--file", "-", ...more], { stdin, fetch });

describe("an import", () => {
  test("adds lines, takes queues and ids from them, and keeps payloads as written", async () => {
    const { fetch, seen } = importServer();
    const lines =
      '{"id":7,"payload":{"n":1.0}}\n\n{"queue":"sms","payload":2,"unique_key":"k"}\r\n';

    const { code, stdout } = await run(lines, fetch, ["--priority", "low"]);

    expect(seen).toHaveLength(1);
    expect(seen[0]?.body).toContain(
      '"jobs":[{"queue":"mail","priority":"low","unique_key":"7","unique_period":315360000,"payload":{"n":1.0}},{"queue":"sms","priority":"low","payload":2,"unique_key":"k"}]',
    );
    expect(stdout).toBe("added 2, duplicate 0, invalid 0\n");
    expect(code).toBe(0);
  });

  test("an id is its job's for as long as that is unfinished, unless something else is said of keys", async () => {
    const { fetch, batches } = importServer();
    const records = [{ id: "a" }, { id: "b", unique_period: 60 }, { id: "c", debounce: "5s" }];
    const text = JSON.stringify(records);

    await run(text, fetch);
    await run(`${text.slice(0, 11)}]`, fetch, ["--unique-period", "90"]);

    const members = batches.flatMap(({ jobs }) => jobs).map(({ queue: _, ...others }) => others);
    expect(members).toEqual([
      { unique_key: "a", unique_period: 315_360_000 },
      { unique_key: "b", unique_period: 60 },
      { unique_key: "c", debounce: "5s" },
      { unique_key: "a", unique_period: 90 },
    ]);
  });

  test("adds the elements of an array, however it is laid out", async () => {
    const { fetch, batches } = importServer();

    await run('[\n  {"payload": "]"},\n  {"payload": {"a": [1, {"b": "\\"}"}]}}\n]\n', fetch);

    expect(batches[0]?.jobs.map((job) => job["payload"])).toEqual(["]", { a: [1, { b: '"}' }] }]);
  });

  test("names the line of each record that cannot be a job, and adds the others", async () => {
    const { fetch, batches } = importServer();
    const lines = [
      '{"payload":1}',
      '{"payload":',
      "[1]",
      '{"paylod":1}',
      '{"priority":"urgent"}',
      '{"delay":"soon"}',
      '{"queue":"no spaces"}',
      '{"payload":"refuse"}',
      '{"payload":"again"}',
    ];

    const { code, stdout, stderr } = await run(lines.join("\n"), fetch);

    expect(stderr).toContain("line 2: not valid JSON: expected a value, it ends at position 12");
    expect(stderr).toContain("line 3: a list, not an object");
    expect(stderr).toContain("line 4: paylod is not a known field; did you mean payload?");
    expect(stderr).toContain('line 5: priority is "urgent"');
    expect(stderr).toContain('line 6: delay is "soon", not a duration');
    expect(stderr).toContain('line 7: queue is "no spaces"');
    expect(stderr).toContain("line 8: payload is refused");
    expect(stdout).toBe("added 1, duplicate 1, invalid 7\n");
    expect(batches.flatMap((batch) => batch.jobs)).toHaveLength(2);
    expect(code).toBe(7);
  });

  test("sends at most 500 jobs at once, in order", async () => {
    const { fetch, batches } = importServer();
    const lines = Array.from({ length: 1201 }, (_, index) => `{"payload":${index}}`);

    await run(lines.join("\n"), fetch);

    expect(batches.map((batch) => batch.jobs.length)).toEqual([500, 500, 201]);
    expect(batches.flatMap((batch) => batch.jobs.map((job) => job["payload"]))).toEqual(
      lines.map((_, index) => index),
    );
  });

  test("repeats its idempotency keys when it is repeated, unless it is told to be another", async () => {
    const keysOf = async (more: string[] = []) => {
      const { fetch, batches } = importServer();
      await run('{"payload":1}\n{"payload":2}', fetch, more);
      return batches.map((batch) => batch.idempotency_key);
    };

    expect(await keysOf()).toEqual(await keysOf());
    expect(await keysOf(["--idempotency-key", "two"])).not.toEqual(await keysOf());
  });

  test("that was interrupted adds only what is missing when it is repeated", async () => {
    const jobs = new Set<string>();
    const answers = new Map<string, string>();
    const { fetch } = server((call) => {
      const batch = JSON.parse(call.body) as Batch;
      const first = answers.get(batch.idempotency_key);
      if (first !== undefined) return json(first, 201);
      for (const job of batch.jobs) jobs.add(String(job["payload"]));
      const results = batch.jobs.map(() => ({ job_id: "j", status: "pending" }));
      const answer = JSON.stringify({ job_ids: [], results });
      answers.set(batch.idempotency_key, answer);
      return json(answer, 201);
    });
    let interrupt = () => {};
    const signals = {
      listen(callback: () => void) {
        interrupt = callback;
        return () => undefined;
      },
    };
    let calls = 0;
    const breaking: typeof fetch = (request) => {
      calls++;
      if (calls < 3) return fetch(request);
      interrupt();
      return new Promise(() => undefined);
    };
    const stdin = Array.from({ length: 2000 }, (_, index) => `{"payload":${index}}`).join("\n");
    const argv = ["enqueue", "mail", "--file", "-"];

    const first = await corvo(argv, { stdin, fetch: breaking, signals });
    const second = await corvo(argv, { stdin, fetch });

    expect(first.stderr).toContain(
      "interrupted; added 1,000, duplicate 0, invalid 0; the same command again goes on",
    );
    expect(first.code).toBe(130);
    expect(second.code).toBe(0);
    expect([jobs.size, answers.size]).toEqual([2000, 4]);
  });

  test("only checks with --dry-run", async () => {
    const { fetch, seen } = importServer();

    const { code, stdout } = await run('{"payload":1}\nx', fetch, ["--dry-run", "--json"]);

    expect(JSON.parse(stdout)).toEqual({
      added: 1,
      duplicate: 0,
      invalid: 1,
      dry_run: true,
      problems: [{ line: 2, error: 'not valid JSON: expected a value, found "x" at position 1' }],
      problems_left_out: 0,
    });
    expect(seen).toHaveLength(0);
    expect(code).toBe(7);
  });

  test("says what it had added when the server goes away", async () => {
    let calls = 0;
    const { fetch: working } = importServer();
    const fetch: typeof working = (request) => {
      calls++;
      if (calls === 1) return working(request);
      return Promise.reject(Object.assign(new Error("no"), { code: "ConnectionRefused" }));
    };
    const lines = Array.from({ length: 600 }, () => "{}").join("\n");

    const { code, stderr } = await run(lines, fetch);

    expect(stderr).toContain("added 500, duplicate 0, invalid 0; the same command again goes on");
    expect(code).toBe(6);
  });

  test("reports tenths of a file when nobody watches", async () => {
    const { fetch } = importServer();
    const files = { "jobs.ndjson": Array.from({ length: 40 }, () => '{"payload":1}').join("\n") };

    const { stderr } = await corvo(["enqueue", "m", "--file", "jobs.ndjson"], { fetch, files });

    expect(stderr.split("\n").filter((line) => /^\d+ %/.test(line)).length).toBeGreaterThan(3);
    expect(stderr).toContain("100 %");
  });

  test.each([
    ["[1, 2", "the JSON array is not closed"],
    ["[{}] {}", "something follows the JSON array"],
  ])("%j cannot be read to its end", async (text, message) => {
    const { fetch } = importServer();

    const { code, stderr } = await run(text, fetch);

    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });

  test("refuses a missing file, a second payload and a unique key for all", async () => {
    const missing = await corvo(["enqueue", "m", "--file", "no.json"]);
    const twice = await corvo(["enqueue", "m", "{}", "--file", "-"]);
    const key = await corvo(["enqueue", "m", "--file", "-", "--unique-key", "k"]);

    expect(missing.stderr).toContain("cannot read no.json");
    expect(twice.stderr).toContain("both a payload and --file");
    expect(key.stderr).toContain("only one job of the file");
    expect([missing.code, twice.code, key.code]).toEqual([2, 2, 2]);
  });
});

describe("the splitter", () => {
  test("refuses a record that would not fit in memory, and names the bound", () => {
    const splitter = new RecordSplitter();
    splitter.push('{"payload":1}\n');

    expect(() => splitter.push("x".repeat(recordLengthMax + 1))).toThrow(
      `the record on line 2 has more than ${recordLengthMax} characters`,
    );
  });

  const split = (pieces: readonly string[]) => {
    const splitter = new RecordSplitter();
    return [...pieces.flatMap((piece) => splitter.push(piece)), ...splitter.end()];
  };
  const cutUp = (text: string, cuts: readonly number[]) => {
    const places = [...cuts.map((cut) => cut % (text.length + 1)), 0, text.length];
    const sorted = [...new Set(places)].sort((left, right) => left - right);
    return sorted.slice(1).map((end, index) => text.slice(sorted[index], end));
  };

  test("gives back the values and first lines of any array or lines, cut anywhere", () => {
    const values = fc.array(fc.jsonValue({ maxDepth: 3 }), { maxLength: 6 });
    fc.assert(
      fc.property(
        values,
        fc.boolean(),
        fc.array(fc.nat(), { maxLength: 6 }),
        (list, pretty, cuts) => {
          const array = JSON.stringify(list, null, pretty ? 2 : undefined);
          const lines = list.map((value) => `${JSON.stringify({ value })}\n`).join("");

          const fromArray = split(cutUp(array, cuts));
          const fromLines = split(cutUp(lines, cuts));

          expect(fromArray.map((record) => JSON.parse(record.text))).toEqual(
            JSON.parse(JSON.stringify(list)),
          );
          for (const record of fromArray) {
            const line = array.split("\n")[record.line - 1] ?? "";
            expect(line).toContain(record.text.split("\n")[0] ?? "");
          }
          expect(fromLines.map((record) => record.line)).toEqual(list.map((_, index) => index + 1));
          expect(fromLines.map((record) => JSON.parse(record.text).value)).toEqual(
            JSON.parse(JSON.stringify(list)),
          );
        },
      ),
    );
  });
});
