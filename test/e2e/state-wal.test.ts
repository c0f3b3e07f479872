/** The write-ahead log of the state stays near what is moved into its file at one time, whoever reads the state meanwhile. */
import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { join } from "node:path";
import { Place } from "../support/binary.ts";

const payloads = 3000;

test("the index of texts does not keep the write-ahead log of the state from being used again", async () => {
  await using place = await Place.create();
  await using server = await place.serve(["--compress-above", "0"]);
  for (let at = 0; at < payloads; at += 4) {
    const jobs = Array.from({ length: 4 }, () => ({
      queue: "q",
      payload: crypto.getRandomValues(Buffer.alloc(60_000)).toString("hex"),
    }));
    await server.json("POST", "/api/v1/enqueue/batch", { jobs });
  }

  // 64 MiB are moved at one time, and a checkpoint of 24 MiB may come on top.
  const { size } = statSync(join(place.path, "data", "state.db-wal"));
  expect(size).toBeLessThan(128 * 1024 * 1024);
}, 60_000);
