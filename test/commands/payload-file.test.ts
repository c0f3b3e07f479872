/** Bytes on the command line: a file as the payload, and a payload or result to standard output. */
import { expect, test } from "bun:test";
import type { Fetch } from "../../src/sdk/client.ts";
import { corvo } from "../support/fake-system.ts";

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly body: string;
}

function server(): { fetch: Fetch; seen: Seen[] } {
  const seen: Seen[] = [];
  const fetch: Fetch = async (request) => {
    const { pathname: path } = new URL(request.url);
    seen.push({ method: request.method, path, body: await request.text() });
    if (path === "/api/v1/blobs") {
      return Response.json({ hash: "a".repeat(64), bytes: 1 }, { status: 201 });
    }
    if (path.endsWith("/payload")) {
      return new Response("\u0000\u0001bytes", { headers: { "content-type": "image/png" } });
    }
    return Response.json({ job_id: "job_1", status: "pending", unique_existing: false });
  };
  return { fetch, seen };
}

test("a small file goes with the job, under the type of its name or the one that is given", async () => {
  const { fetch, seen } = server();
  const files = { "page.png": new Uint8Array([0, 1, 255]) };

  await corvo(["enqueue", "scan", "--payload-file", "page.png", "--priority", "1"], {
    fetch,
    files,
  });
  await corvo(["enqueue", "scan", "--payload-file", "page.png", "--content-type", "a/b"], {
    fetch,
    files,
  });

  expect(seen.map(({ body }) => JSON.parse(body))).toEqual([
    { queue: "scan", payload_base64: "AAH/", content_type: "image/png", priority: "1" },
    { queue: "scan", payload_base64: "AAH/", content_type: "a/b" },
  ]);
});

test("a large file is uploaded first, whole, and the job names it", async () => {
  const { fetch, seen } = server();
  const content = "x".repeat(300_000);

  const ran = await corvo(["enqueue", "film", "--payload-file", "film.mp4"], {
    fetch,
    files: { "film.mp4": content },
    chunkBytes: 65_536,
  });

  expect(ran.code).toBe(0);
  expect(seen.map(({ path }) => path)).toEqual(["/api/v1/blobs", "/api/v1/enqueue"]);
  expect(seen[0]?.body === content).toBe(true);
  expect(JSON.parse(seen[1]?.body ?? "")).toEqual({
    queue: "film",
    payload_blob: "a".repeat(64),
    content_type: "video/mp4",
  });
});

test("a large payload from a pipe goes to one server only: what is left of it is not sent to the next", async () => {
  const asked: string[] = [];
  const fetch: Fetch = async (request) => {
    const { host, pathname } = new URL(request.url);
    if (pathname === "/healthz") return new Response("ok");
    asked.push(`${host}${pathname}`);
    await request.body?.getReader().read();
    if (host === "a") throw Object.assign(new Error("reset"), { code: "ECONNRESET" });
    return Response.json({ hash: "a".repeat(64), bytes: 1, job_id: "job_1", status: "pending" });
  };

  const ran = await corvo(
    ["enqueue", "film", "--payload-file", "-", "--server", "http://a,http://b"],
    { fetch, stdin: "x".repeat(300_000), chunkBytes: 65_536 },
  );

  expect(asked).toEqual(["a/api/v1/blobs"]);
  expect(ran.stderr).toContain("standard input cannot be read again");
  expect(ran.code).toBe(6);
});

test("two payloads at once are refused before anything is sent", async () => {
  const { fetch, seen } = server();

  const ran = await corvo(["enqueue", "q", "{}", "--payload-file", "page.png"], {
    fetch,
    files: { "page.png": "x" },
  });

  expect(ran.code).toBe(2);
  expect(ran.stderr).toContain("more than one payload is given");
  expect(seen).toEqual([]);
});

test("a payload is written as it is, and with --json what it is", async () => {
  const { fetch } = server();

  const bytes = await corvo(["jobs", "payload", "job_1"], { fetch });
  const said = await corvo(["jobs", "payload", "job_1", "--json"], { fetch });

  expect(bytes.stdout).toBe("\u0000\u0001bytes");
  expect(JSON.parse(said.stdout)).toEqual({
    job_id: "job_1",
    content_type: "image/png",
    bytes: 7,
  });
});
