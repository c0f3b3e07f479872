/** Answers in pieces over a real socket. */
import { expect, test } from "bun:test";
import { Streamed } from "../../src/api/operation.ts";
import { CorvoError } from "../../src/base/errors.ts";
import { httpFixture } from "../support/http-app.ts";

const answering = (chunks: () => AsyncIterable<string | Uint8Array>) =>
  httpFixture({ handlers: { createBackup: async () => new Streamed(chunks()) } });

test("pieces come as they are made, with the type that the table names", async () => {
  await using fixture = answering(async function* () {
    yield "one ";
    yield new TextEncoder().encode("two");
  });

  const answer = await fetch(`${fixture.listen()}/api/v1/backup`);

  expect(answer.headers.get("content-type")).toBe("application/octet-stream");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(await answer.text()).toBe("one two");
});

test("a failure in the middle cuts the answer and is logged; one before it is an answer", async () => {
  await using fixture = answering(async function* () {
    yield "one";
    throw new Error("the disk is gone");
  });
  await using refusing = httpFixture({
    handlers: { createBackup: () => Promise.reject(new CorvoError("OVERLOADED", "one at a time")) },
  });

  // It may be cut before its beginning is seen.
  const url = fixture.listen();
  const read = async () => (await fetch(`${url}/api/v1/backup`)).text();
  const refused = await fetch(`${refusing.listen()}/api/v1/backup`);

  await expect(read()).rejects.toThrow();
  expect(fixture.lines.map(({ level }) => level)).toEqual(["error"]);
  expect(refused.status).toBe(429);
});

test("when the reader goes away the pieces end, and its place is free", async () => {
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  await using fixture = httpFixture({
    limits: { requestsMax: 1 },
    handlers: {
      createBackup: async () =>
        new Streamed(
          (async function* () {
            try {
              for (;;) {
                yield "x".repeat(100_000);
                await new Promise<void>((go) => setImmediate(go));
              }
            } finally {
              resolve();
            }
          })(),
        ),
    },
  });
  const url = fixture.listen();
  const answer = await fetch(`${url}/api/v1/backup`);
  const reader = answer.body?.getReader();
  await reader?.read();

  expect((await fetch(`${url}/api/v1/status`)).status).toBe(429);
  await reader?.cancel();
  await ended;

  expect((await fetch(`${url}/api/v1/status`)).status).toBe(404);
});
