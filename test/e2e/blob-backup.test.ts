/** A backup holds the blobs that its jobs use. */
import { expect, test } from "bun:test";
import { readdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { Place } from "../support/binary.ts";

test("[V11] a node that is made from a backup has the blobs of its jobs, and no others", async () => {
  await using place = await Place.create();
  const content = crypto.getRandomValues(Buffer.alloc(60_000)).toString("hex").repeat(5);
  const server = await place.serve();
  const added = await fetch(`${server.url}/api/v1/queues/films/jobs`, {
    method: "POST",
    headers: { "content-type": "video/mp4" },
    body: content,
  });
  const { job_id: id } = (await added.json()) as { job_id: string };
  await server.call("POST", "/api/v1/blobs", "used by nobody");

  const made = await place.run(["backup", "all.backup", "--server", server.url]);
  await server.stop();
  const restored = await place.run(["restore", "all.backup", "--data-dir", "other"]);
  const files = readdirSync(join(place.path, "other", "blobs"), { recursive: true }).map(String);
  renameSync(join(place.path, "data"), join(place.path, "old"));
  renameSync(join(place.path, "other"), join(place.path, "data"));
  await using again = await place.serve();
  const answer = await fetch(`${again.url}/api/v1/jobs/${id}/payload`);

  expect({ code: made.code, stderr: made.stderr }).toMatchObject({ code: 0 });
  expect({ code: restored.code, stderr: restored.stderr }).toMatchObject({ code: 0 });
  expect(files.filter((name) => name.length > 60)).toHaveLength(1);
  expect(answer.headers.get("content-type")).toBe("video/mp4");
  expect((await answer.text()) === content).toBe(true);
}, 30_000);

test("[V11] [BU6] a queue that goes to another server takes the blobs of its jobs along", async () => {
  await using place = await Place.create();
  const content = crypto.getRandomValues(Buffer.alloc(50_000)).toString("hex").repeat(8);
  await using one = await place.serve();
  const added = await fetch(`${one.url}/api/v1/queues/films/jobs`, {
    method: "POST",
    headers: { "content-type": "video/mp4" },
    body: content,
  });
  const { job_id: id } = (await added.json()) as { job_id: string };
  const saved = await place.run([
    "backup",
    "films.backup",
    "--queue",
    "films",
    "--server",
    one.url,
  ]);
  await using elsewhere = await Place.create();
  await using two = await elsewhere.serve();

  const restored = await place.run(["restore", "films.backup", "--server", two.url, "--json"]);
  const answer = await fetch(`${two.url}/api/v1/jobs/${id}/payload`);

  expect({ code: saved.code, stderr: saved.stderr }).toMatchObject({ code: 0 });
  expect(JSON.parse(restored.stdout)).toMatchObject({ jobs: 1, refused: 0 });
  expect((await answer.text()) === content).toBe(true);
}, 30_000);
