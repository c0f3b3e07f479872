/** A refusal names the field, whether the schema or the service has seen what is wrong with it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type LiveServer, liveServer } from "../support/live-server.ts";

const refused: readonly (readonly [string, object, number])[] = [
  ["delay", { delay: "soon" }, 400],
  ["retry_base_delay", { retry_base_delay: "99999999h" }, 400],
  ["scheduled_at", { scheduled_at: "tomorrow" }, 400],
  ["timeout", { timeout: "0s" }, 400],
  ["max_retries", { max_retries: -1 }, 400],
  ["tags", { tags: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [i, ""])) }, 400],
  ["agent", { agent: { max_iterations: 1 } }, 422],
];

describe.each([1, 3])("with %d shards", (shards) => {
  let server: LiveServer;
  beforeAll(async () => {
    server = await liveServer({ shards });
  });
  afterAll(() => server.stop());

  test.each(refused)("[A2] %s", async (field, options, status) => {
    const job = { queue: "q", ...options };
    const alone = await server.call("POST", "/api/v1/enqueue", job);
    expect(alone).toMatchObject({ status, body: { details: { path: field } } });

    const batch = await server.call("POST", "/api/v1/enqueue/batch", {
      jobs: [{ queue: "q" }, job],
    });
    const { hint } = alone.body as { hint: string };
    const path = `jobs[1].${field}`;
    expect(batch).toMatchObject({ status, body: { details: { path }, hint } });
    expect((batch.body as { error: string }).error).toStartWith(`${path}: `);
  });
});
