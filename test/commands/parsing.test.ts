/**
 * The line itself: global flags, values, usage errors and their hints, exit codes, colours. Everything runs through the
 * same entry as the program, with streams in memory.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { editDistance, nearest } from "../../src/base/suggest.ts";
import { corvo, json, server } from "../support/fake-system.ts";

const added = () => json('{"job_id":"job_1","status":"pending","unique_existing":false}', 201);

describe("the line", () => {
  test("takes global flags before, between and after the words of the command", async () => {
    const { fetch, seen } = server(() => json("[]"));

    await corvo(["--server", "h:1", "queue", "--api-key=k", "list", "--json"], { fetch });

    expect(seen[0]?.headers.get("x-api-key")).toBe("k");
  });

  test("prefers flags to the environment, and the environment to the default", async () => {
    const env = { CORVO_SERVER: "http://env:1" };

    expect((await corvo(["status"], {})).stderr).toContain("http://127.0.0.1:8080");
    expect((await corvo(["status"], { env })).stderr).toContain("http://env:1");
    expect((await corvo(["status", "--server", "flag:2"], { env })).stderr).toContain(
      "http://flag:2",
    );
  });

  test.each([
    [["enqueue", "q", "--prioritty", "1"], "unknown flag --prioritty", "Did you mean --priority?"],
    [["jobs", "lst"], 'unknown command "corvo jobs lst"', "`corvo jobs list`"],
    [["list"], 'unknown command "corvo list"', "`corvo jobs list` or `corvo queue list`"],
    [["enqeue", "q"], 'unknown command "corvo enqeue"', "`corvo enqueue`"],
    [["enqueue", "q", "{}", "x"], 'unexpected argument "x"', "Quote what belongs together"],
    [["enqueue", "q", "--priority"], "--priority needs a value", "shows how"],
    [["enqueue", "q", "--delay", "--json"], "--delay needs a value", "--delay=--json"],
    [["enqueue", "q", "--callback-url", "none"], "--callback-url: the value has 4 characters", ""],
    [
      ["enqueue", "q", "--file", "f", "--payload-file", "p"],
      "both a payload and --file",
      "one out",
    ],
    [
      ["jobs", "cancel", "--state", "dead", "--queue", "", "--yes"],
      "--queue: the value is empty",
      "",
    ],
    [["jobs", "delete", ""], "ID: the value is empty", ""],
    [["server", "--data-dir", ""], "--data-dir: the value is empty", "Leave it out"],
    [["jobs", "list", "--limit", "0"], "--limit: 0 is less than 1", ""],
    [["jobs", "list", "--limit", "1001"], "--limit: 1001 is more than 1000", "--cursor"],
    [["enqueue", "q", "--delay", "soon"], '--delay: "soon" is not a duration', "1h30m"],
    [["enqueue", "q", "--delay=1s", "--delay=2s"], "--delay is given twice", "once"],
    [["enqueue", "q", "--max-retries", "many"], '"many" is not a whole number', ""],
    [["enqueue", "q", "--max-retries", "-1"], "less than 0", ""],
    [["enqueue", "q", "--priority", "urgent"], '"urgent"; it must be 0 (first) to 9', ""],
    [["enqueue", "q", "--retry-backoff", "expnential"], "is not one of none", "exponential?"],
    [["enqueue", "q", "--tags", "a"], '"a" is not name=value', "customer=42"],
    [["jobs", "list", "--state", "dead,lost"], '"lost" is not one of pending', ""],
    [["jobs", "list", "--json=maybe"], "--json is a switch", ""],
    [["jobs", "get"], "ID is missing", "`corvo jobs get --help`"],
    [["queue", "pause", "no spaces"], "QUEUE: the name is", "Names begin with"],
    [["server", "--join", "10.0.0.7:99999"], "is not an address to join", "10.0.0.7:8080"],
    [["server", "--join", "fd00::7"], "is not an address to join", "[fd00::7]:8080"],
    [["server", "--join", "http://["], '"http://[" is not an http address', ""],
    [["server", "--join", "srv+a.lan:8080"], "is not an address to join", "srv+"],
    [["server", "--join", "a b"], "is not an address to join", ""],
    [["server", "--peer-advertise", "10.0.0.7"], "is not an address that others", "10.0.0.7:9000"],
    [["server", "--peer-advertise", ":9000"], "is not an address that others", "10.0.0.7:9000"],
    [["server", "--advertise-url", "10.0.0.7:80"], "is not an http address", "http://10.0.0.7"],
    [["status", "--server", ","], '"," is not an http address', "http://127.0.0.1:8080"],
    [["status", "--server", "ftp://x"], "is not an http address", "http://127.0.0.1:8080"],
  ])("%j is a usage error that helps", async (argv, message, hint) => {
    const { code, stdout, stderr } = await corvo(argv);

    expect(stderr).toContain(message);
    expect(stderr).toContain(hint);
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });

  test("shows the help of a group on stderr when the command is missing", async () => {
    const { code, stdout, stderr } = await corvo(["jobs"]);

    expect(stderr).toContain("corvo jobs COMMAND");
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });

  test("knows the names of 0.3", async () => {
    const { fetch, seen } = server(() => json('{"jobs":[],"total":0,"has_more":false}'));

    await corvo(["held", "--limit", "5"], { fetch });

    expect(seen[0]?.path).toBe("/api/v1/jobs/search");
    expect(seen[0]?.body).toBe('{"state":["held"],"limit":5}');
  });

  test("takes `help` for --help", async () => {
    const plain = await corvo(["jobs", "list", "--help"]);

    expect(await corvo(["help", "jobs", "list"])).toEqual(plain);
    expect((await corvo(["help"])).stdout).toContain("corvo COMMAND");
  });

  test("takes what follows -- as it is", async () => {
    const { fetch, seen } = server(() => json("{}"));

    await corvo(["jobs", "cancel", "--", "--odd-id"], { fetch });

    expect(seen[0]?.path).toBe("/api/v1/jobs/--odd-id/cancel");
  });

  test("prints its version anywhere", async () => {
    expect((await corvo(["jobs", "--version"])).stdout).toMatch(/^corvo \d+\.\d+\.\d+ \(.+\)\n$/);
  });
});

describe("enqueue", () => {
  test("sends the payload exactly as typed, and the options by their kinds", async () => {
    const { fetch, seen } = server(added);
    const argv = ["enqueue", "mail", '{ "n": 1.0 }', "--priority", "high", "--delay", "90"];
    const more = ["--max-retries=5", "--tags", "a=1", "--tag", "b=x=y", "--retry-jitter", "0.5"];

    const { code, stdout, stderr } = await corvo([...argv, ...more], { fetch });

    expect(seen[0]?.body).toBe(
      '{"queue":"mail","payload":{ "n": 1.0 },"priority":"high","delay":"1m30s","max_retries":5,"retry_jitter":0.5,"tags":{"a":"1","b":"x=y"}}',
    );
    expect(stdout).toBe("job_1\n");
    expect(stderr).toBe("added to mail, pending\n");
    expect(code).toBe(0);
  });

  test("reads the payload from standard input and from a file", async () => {
    const { fetch, seen } = server(added);

    await corvo(["enqueue", "mail", "-"], { fetch, stdin: "[1,\n2]\n" });
    await corvo(["enqueue", "mail", "@p.json"], { fetch, files: { "p.json": '"é"' } });

    expect(seen.map((call) => call.body)).toEqual([
      '{"queue":"mail","payload":[1,\n2]}',
      '{"queue":"mail","payload":"é"}',
    ]);
  });

  test("blames the shell only for what was typed", async () => {
    const typed = await corvo(["enqueue", "mail", "{a:1}"]);
    const read = await corvo(["enqueue", "mail", "-"], { stdin: "{a:1}" });

    expect(typed.stderr).toContain("The shell has taken the double quotes away");
    expect(read.stderr).toContain("standard input is not valid JSON");
    expect(read.stderr).not.toContain("shell");
  });

  test("brings any text of a flag and any JSON payload to the server unchanged", async () => {
    const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
    const pairs = fc.dictionary(
      text.filter((name) => !name.includes("=") && !name.trimStart().startsWith("{")),
      fc.string({ maxLength: 10 }),
      { minKeys: 1, maxKeys: 3 },
    );
    await fc.assert(
      fc.asyncProperty(text, pairs, fc.json(), async (key, tags, payload) => {
        const { fetch, seen } = server(added);
        const flags = Object.entries(tags).map(([name, value]) => `--tags=${name}=${value}`);

        await corvo(["enqueue", "q", `--unique-key=${key}`, ...flags, "--", payload], { fetch });

        expect(seen[0]?.body).toStartWith(`{"queue":"q","payload":${payload},`);
        const body = JSON.parse(seen[0]?.body ?? "") as Record<string, unknown>;
        expect(body["unique_key"]).toBe(key);
        expect(body["tags"]).toEqual(tags);
      }),
    );
  });

  test("takes tags as a JSON object, whatever they are called", async () => {
    const { fetch, seen } = server(added);
    const tags = '{"__proto__":"a","b":"c"}';

    await corvo(["enqueue", "q", "--tags", tags], { fetch });

    expect(seen[0]?.body).toBe(`{"queue":"q","tags":${tags}}`);
    expect((await corvo(["enqueue", "q", "--tags", '{"a":1}'])).stderr).toContain(
      'the value of "a" is not a text',
    );
  });

  test("leaves the payload to the server when there is none", async () => {
    const { fetch, seen } = server(added);

    await corvo(["enqueue", "mail"], { fetch });

    expect(seen[0]?.body).toBe('{"queue":"mail"}');
  });

  test.each([
    ["hello", 'found "h" at position 1', `'"hello"'`],
    ["{to:1}", 'expected a name in double quotes ("), found "t" at position 2', "single quotes"],
    ['{"a":1', "it ends at position 7", "single quotes"],
    ['{"a":\n x}', 'found "x" on line 2, position 2', "single quotes"],
  ])("shows where %j is not JSON", async (payload, message, hint) => {
    const { code, stderr } = await corvo(["enqueue", "mail", payload]);

    expect(stderr).toContain(message);
    expect(stderr).toContain(hint);
    expect(code).toBe(2);
  });

  test("prints the answer unchanged with --json, and only the id with -q", async () => {
    const { fetch } = server(added);

    expect((await corvo(["enqueue", "m", "1", "--json"], { fetch })).stdout).toBe(
      '{"job_id":"job_1","status":"pending","unique_existing":false}\n',
    );
    expect(await corvo(["enqueue", "m", "1", "-q"], { fetch })).toEqual({
      code: 0,
      stdout: "job_1\n",
      stderr: "",
    });
  });

  test("refuses input that is not UTF-8", async () => {
    const stdin = new Uint8Array([0x22, 0xff, 0x22]);

    expect((await corvo(["enqueue", "m", "-"], { stdin })).stderr).toContain("not UTF-8");
  });
});

describe("exit codes", () => {
  test.each([
    [404, "NOT_FOUND", 3],
    [401, "UNAUTHORIZED", 4],
    [409, "CONFLICT", 5],
    [400, "RETRY_ERROR", 5],
    [400, "VALIDATION_ERROR", 2],
    [500, "INTERNAL_ERROR", 1],
    [503, "UNAVAILABLE", 6],
  ])("%d %s exits %d", async (status, code, exit) => {
    const { fetch } = server(() => json(`{"error":"what","code":"${code}"}`, status));

    const ran = await corvo(["jobs", "get", "x"], { fetch });

    expect(ran.stderr).toContain("error: what\nhint: ");
    expect(ran.code).toBe(exit);
  });

  test("a fault of the program exits 70 and shows where", async () => {
    const { fetch } = server(() => json('{"jobs":7}'));

    const { code, stderr } = await corvo(["jobs", "list"], { fetch });

    expect(stderr).toContain("fault in corvo");
    expect(code).toBe(70);
  });

  test("Ctrl-C exits 130 at once", async () => {
    let interrupt = () => {};
    const signals = {
      listen(callback: () => void) {
        interrupt = callback;
        return () => undefined;
      },
    };
    const fetch = () => {
      interrupt();
      return new Promise<Response>(() => undefined);
    };

    const { code, stderr } = await corvo(["status"], { fetch, signals });

    expect(stderr).toContain("interrupted");
    expect(code).toBe(130);
  });
});

describe("colours", () => {
  const list = (env: Record<string, string>, isTty: boolean, more: string[] = []) =>
    corvo(["nonsense", ...more], { env, isTty });

  test("are for terminals, and can be forced and forbidden", async () => {
    expect((await list({}, false)).stderr).not.toContain("\x1b[");
    expect((await list({}, true)).stderr).toContain("\x1b[");
    expect((await list({ TERM: "dumb" }, true)).stderr).not.toContain("\x1b[");
    expect((await list({ FORCE_COLOR: "1" }, false)).stderr).toContain("\x1b[");
    expect((await list({ FORCE_COLOR: "1", NO_COLOR: "1" }, true)).stderr).not.toContain("\x1b[");
    expect((await list({}, true, ["--no-color"])).stderr).not.toContain("\x1b[");
  });
});

describe("suggestions", () => {
  test("count swaps, gaps and slips as one each", () => {
    expect(editDistance("prioirty", "priority")).toBe(1);
    expect(editDistance("priorty", "priority")).toBe(1);
    expect(editDistance("prioroty", "priority")).toBe(1);
    expect(nearest("quux", ["list", "get"])).toBeUndefined();
  });

  test("distance is symmetric, and zero only for the same word", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b) === 0).toBe(a === b);
      }),
    );
  });
});
