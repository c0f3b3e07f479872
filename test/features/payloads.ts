/** Payloads that are large, or no JSON, and the room that they take up. */
import { expect } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../support/cluster/cluster.ts";
import type { Api } from "./api.ts";
import type { Chapter } from "./feature.ts";

const png = Buffer.from("89504e470d0a1a0a0000000d49484452ff00fe01", "hex");
const long = { text: "the same words again and again, ".repeat(1000) };

/** Bytes that do not compress, as long as this. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0, word = length; i < length; i++) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = word >>> 24;
  }
  return bytes;
}

function fileOf(api: Api, name: string, content: Uint8Array): string {
  const path = join(api.folder(), name);
  writeFileSync(path, content);
  return path;
}

/** The bytes that a command finds on its standard input. */
async function workedOn(api: Api, queue: string): Promise<Buffer> {
  const path = join(api.folder(), `${queue.replaceAll(/\W/g, "")}.seen`);
  await api.cli("worker", queue, "--drain", "--quiet", "--", "sh", "-c", `cat > ${path}`);
  return readFileSync(path);
}

export const payloads: Chapter = {
  title: "Payloads",
  features: [
    {
      id: "payload-bytes",
      what: "Payloads that are bytes with a content type, to the worker's standard input",
      shows: "corvo enqueue scan --payload-file page.png; corvo jobs payload ID > file",
      async story(api, queue) {
        const file = fileOf(api, `${queue.replaceAll(/\W/g, "")}.png`, png);
        const id = (await api.cli("enqueue", queue, "--payload-file", file)).trim();
        return async () => {
          expect(await api.job(id)).toMatchObject({
            payload: null,
            content_type: "image/png",
            payload_base64: png.toString("base64"),
          });
          expect(await workedOn(api, queue)).toEqual(png);
        };
      },
    },
    {
      id: "result-bytes",
      what: "Results that are bytes",
      shows: "POST /api/v1/ack/{job_id} with result_base64",
      async story(api, queue) {
        const id = await api.add(queue);
        const result = { result_base64: png.toString("base64"), result_type: "image/png" };
        await api.ack(await api.take(queue), result);
        return async () =>
          expect(await api.job(id)).toMatchObject({ ...result, result: null, result_bytes: 20 });
      },
    },
    {
      id: "payload-compressed",
      what: "Long payloads kept compressed, found and given back as they were sent",
      shows: "corvo server --compress-above 4KiB",
      async story(api, queue) {
        const id = await api.add(queue, { payload: long });
        return async () => {
          const body = { queue, payload_contains: "again and again" };
          const found = await api.json("POST", "/api/v1/jobs/search", body);
          expect(found["jobs"]).toMatchObject([{ id, payload: long }]);
          expect(Number((await api.queue(queue))["bytes"])).toBeLessThan(2000);
        };
      },
    },
    {
      id: "payload-blob",
      what: "Large payloads as blobs, outside of the log, on a majority before the answer",
      shows: "corvo enqueue transcode --payload-file film.mp4",
      async story(api, queue) {
        const content = noise(1_500_000);
        const file = fileOf(api, `${queue.replaceAll(/\W/g, "")}.bin`, content);
        const id = (await api.cli("enqueue", queue, "--payload-file", file)).trim();
        return async () => {
          expect(await api.job(id)).toMatchObject({
            payload_bytes: content.length,
            payload_blob: new Bun.CryptoHasher("sha256").update(content).digest("hex"),
          });
          expect((await workedOn(api, queue)).equals(content)).toBe(true);
        };
      },
    },
    {
      id: "queue-bytes",
      what: "A bound on the bytes of a queue, with a refusal that names it",
      shows: "corvo queue bytes QUEUE --max 2GiB → 507 QUEUE_FULL_BYTES",
      async story(api, queue) {
        await api.cli("queue", "bytes", queue, "--max", "1000");
        const id = await api.add(queue, { payload: "x".repeat(600) });
        const body = { queue, payload: "x".repeat(600) };
        return async () => {
          await api.refused("QUEUE_FULL_BYTES", "POST", "/api/v1/enqueue", body);
          await api.json("DELETE", `/api/v1/jobs/${id}`);
          await api.json("POST", "/api/v1/enqueue", body);
        };
      },
    },
    {
      id: "queue-keep-bytes",
      what: "Retention by bytes: the oldest finished jobs of a queue go",
      shows: "corvo queue bytes QUEUE --keep 500MiB",
      async story(api, queue) {
        const ids: string[] = [];
        for (let i = 0; i < 4; i++) ids.push(await api.add(queue, { payload: "x".repeat(598) }));
        for (let i = 0; i < 4; i++) await api.ack(await api.take(queue));
        await api.cli("queue", "bytes", queue, "--keep", "1500");
        return async () => {
          await until("two are left", async () => (await api.queue(queue))["completed"] === 2);
          await api.refused("NOT_FOUND", "GET", `/api/v1/jobs/${ids[0]}`);
          expect(await api.job(ids[3] ?? "")).toMatchObject({ state: "completed" });
        };
      },
    },
  ],
  notOffered: [],
};
