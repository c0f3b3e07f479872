import { expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { paceOf } from "../../src/commands/_shared/collection-pace.ts";
import { selfCommand } from "../../src/commands/_shared/self-command.ts";

test("a server starts again with an interval of its own, once, and no other command does", () => {
  const tuned = paceOf(["--no-color", "server", "--bind", ":0"], { HOME: "/root" });

  expect(tuned).toEqual({ HOME: "/root", BUN_GC_TIMER_INTERVAL: "10000" });
  expect(paceOf(["server"], tuned ?? {})).toBeUndefined();
  expect(paceOf(["server"], { BUN_GC_TIMER_DISABLE: "1" })).toBeUndefined();
  expect(paceOf(["server", "--help"], {})).toBeUndefined();
  expect(paceOf(["jobs", "list", "server"], {})).toBeUndefined();
  expect(paceOf([], {})).toBeUndefined();
});

test("the server that answers is the process that was started", async () => {
  const folder = join(tmpdir(), `corvo-pace-${process.pid}`);
  const { BUN_GC_TIMER_INTERVAL: _, ...env } = process.env;
  const child = Bun.spawn(
    [...selfCommand, "server", "--bind", "127.0.0.1:0", "--data-dir", folder, "--json"],
    { env, stdin: "ignore", stdout: "pipe", stderr: "ignore" },
  );
  try {
    const { value } = await child.stdout.getReader().read();
    const { url } = JSON.parse(new TextDecoder().decode(value)) as { url: string };

    const answer = await fetch(`${url}/healthz`);

    expect(answer.status).toBe(200);
    if (process.platform === "linux") {
      const text = await Bun.file(`/proc/${child.pid}/environ`).text();
      expect(text.split("\0")).toContain("BUN_GC_TIMER_INTERVAL=10000");
    }
  } finally {
    child.kill("SIGKILL");
    await child.exited;
    await rm(folder, { recursive: true, force: true });
  }
}, 30_000);
