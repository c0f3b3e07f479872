import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { signatureHeaders } from "../../../src/net/outbound/signature.ts";
import { tempDir } from "../../support/temp-dir.ts";

const page = readFileSync(new URL("../../../docs/reference/webhooks.md", import.meta.url), "utf8");
const now = () => Math.floor(Date.now() / 1000);
const message = { id: "dlv_1", body: '{"a":1}', secret: "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3" };

test("what the page shows for JavaScript takes what is genuine and nothing else", async () => {
  using folder = tempDir();
  const path = join(folder.path, "check.mjs");
  await Bun.write(path, /```js\n([\s\S]*?)```/.exec(page)?.[1] ?? "");
  const { isGenuine } = await import(path);
  const headers = signatureHeaders({ ...message, atSeconds: now() });
  const check = (given: object, body = message.body, secret = message.secret) =>
    isGenuine({ ...headers, ...given }, Buffer.from(body), secret);

  expect(check({})).toBe(true);
  expect(check({}, '{"a":2}')).toBe(false);
  expect(check({}, message.body, "whsec_AAAA")).toBe(false);
  expect(check({ "webhook-id": "dlv_2" })).toBe(false);
  expect(check({ "webhook-timestamp": String(now() - 1) })).toBe(false);
  expect(check({ "webhook-signature": undefined })).toBe(false);
  const old = signatureHeaders({ ...message, atSeconds: now() - 301 });
  expect(check(old)).toBe(false);
  const plain = signatureHeaders({ ...message, secret: "0123456789", atSeconds: now() });
  expect(check(plain, message.body, "0123456789")).toBe(true);
  expect(check(plain, message.body, "9876543210")).toBe(false);
});

test("a message without a secret is not signed, and still has its id and time", () => {
  expect(signatureHeaders({ ...message, secret: "", atSeconds: 7 })).toEqual({
    "webhook-id": "dlv_1",
    "webhook-timestamp": "7",
  });
});
