/** `corvo jobs wait`: what it prints where, and how it ends. What it waits out is told in `patience.test.ts`. */
import { describe, expect, test } from "bun:test";
import { corvo, json, server } from "../support/fake-system.ts";

describe("jobs wait", () => {
  const job = (state: string, more = "") => json(`{"id":"j","state":"${state}"${more}}`);

  test("prints the result as it was sent", async () => {
    const { fetch, seen } = server((_, index) =>
      index === 0 ? job("active") : job("completed", ',"result":{ "n": 1.0 }'),
    );

    const { code, stdout } = await corvo(["jobs", "wait", "j"], { fetch });

    expect(stdout).toBe('{ "n": 1.0 }\n');
    expect(seen.map(({ path }) => path)).toEqual([
      "/api/v1/jobs/j/wait?timeout=0",
      "/api/v1/jobs/j/wait?timeout=60",
    ]);
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
