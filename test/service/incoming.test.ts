/** Calls from outside that become jobs. */
import { expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import type { InputOf } from "../../src/api/operation.ts";
import type { Operations } from "../../src/api/operations.ts";
import { bodyOf, NodeRig, neverAborted } from "../support/node-rig.ts";

type Settings = InputOf<Operations["setIncoming"]>["body"];
type Query = InputOf<Operations["receiveWebhook"]>["query"];

const secret = "0123456789abcdef";
const body = '{"n":12345678901234567890,"s":"é"}';

class Rig extends NodeRig {
  async expectOf(settings: Partial<Settings>, queue = "q") {
    const input = {
      params: { name: queue },
      query: {},
      body: { scheme: "none", ...settings } as Settings,
    };
    return bodyOf(await this.service.handlers.setIncoming(input, { signal: neverAborted }));
  }

  async receive(text: string, headers: Record<string, string> = {}, query: Query = {}) {
    const input = { params: { name: "q" }, query, body: { text, headers } };
    return bodyOf(await this.service.handlers.receiveWebhook(input, { signal: neverAborted }));
  }

  /** The refusal of a call; fails when there is none. */
  async refusal(text: string, headers: Record<string, string>): Promise<unknown> {
    return this.receive(text, headers).then(
      () => "taken",
      (error: unknown) => error,
    );
  }

  /** Seconds since 1970, some of them off. */
  at(off = 0): string {
    return String(Math.floor(this.time.nowMs() / 1000) + off);
  }

  async payload(jobId: string): Promise<string> {
    return (await this.job(jobId)).payload.text;
  }
}

const hexOf = (text: string, key = secret) => createHmac("sha256", key).update(text).digest("hex");

test("a body becomes the payload as it came; what is no JSON becomes a text, and nothing an empty object", async () => {
  const rig = new Rig();
  for (const [sent, kept] of [
    [body, body],
    ["", "{}"],
    ["a=1&b=2", '"a=1&b=2"'],
    ["[1, 2.0]", "[1, 2.0]"],
    [" \n7\n", "7"],
    ['\ufeff{"a":1}', '{"a":1}'],
    ["\ufeff", "{}"],
  ]) {
    const { job_id, status } = await rig.receive(sent ?? "");
    expect(status).toBe("pending");
    expect(await rig.payload(job_id)).toBe(kept ?? "");
  }
  await expect(rig.receive(`${"[".repeat(200)}${"]".repeat(200)}`)).rejects.toMatchObject({
    code: "PARSE_ERROR",
  });
});

test("a text is as large as it is with its escapes", async () => {
  const rig = new Rig();
  const bytes = 256 * 1024;
  await expect(rig.receive("\u0001".repeat(bytes / 4))).rejects.toMatchObject({
    code: "PAYLOAD_TOO_LARGE",
    message: expect.stringContaining("payloadBytesMax"),
  });
  const { job_id } = await rig.receive("x".repeat(bytes - 2));
  expect(await rig.payload(job_id)).toHaveLength(bytes);
});

test("the query says what the job is to be", async () => {
  const rig = new Rig();
  const query = { priority: "high", unique_key: "k", max_retries: 7, tags: "a:b,c:d:e" };

  const { job_id } = await rig.receive("{}", {}, query);

  expect(await rig.job(job_id)).toMatchObject({
    priority: 1,
    unique_key: "k",
    max_retries: 7,
    tags: { a: "b", c: "d:e" },
  });
  expect(await rig.receive("{}", {}, query)).toMatchObject({ job_id, unique_existing: true });
  await expect(rig.receive("{}", {}, { tags: "nothing" })).rejects.toMatchObject({
    code: "VALIDATION_ERROR",
  });
  await expect(rig.receive("{}", {}, { priority: "urgent" })).rejects.toMatchObject({
    code: "VALIDATION_ERROR",
  });
});

test("of github and corvo the header is over the body with the secret as it is", async () => {
  for (const [scheme, header] of [
    ["github", "x-hub-signature-256"],
    ["corvo", "x-corvo-signature"],
  ] as const) {
    const rig = new Rig();
    const shown = await rig.expectOf({ scheme, secret });
    expect(shown).toMatchObject({ scheme, has_secret: true });
    expect(JSON.stringify(shown)).not.toContain(secret);

    await rig.receive(body, { [header]: `sha256=${hexOf(body)}` });
    for (const wrong of [
      "",
      hexOf(body),
      `sha256=${hexOf(`${body} `)}`,
      `sha256=${hexOf(body, "other")}`,
    ]) {
      expect(await rig.refusal(body, { [header]: wrong })).toMatchObject({ code: "UNAUTHORIZED" });
    }
    expect(await rig.refusal(body, {})).toMatchObject({
      message: expect.stringContaining(`${header} is missing`),
    });
  }
});

test("of stripe the time is signed, one of several signatures is enough, and an old one is refused", async () => {
  const rig = new Rig();
  await rig.expectOf({ scheme: "stripe", secret, tolerance: "1m" });
  const signed = (off: number, text = body) => {
    const at = rig.at(off);
    return { "stripe-signature": `t=${at},v1=${"0".repeat(64)},v1=${hexOf(`${at}.${text}`)},v0=x` };
  };

  await rig.receive(body, signed(0));
  await rig.receive(body, signed(-60));
  expect(await rig.refusal(body, signed(-61))).toMatchObject({
    message: expect.stringContaining("61 s ago"),
  });
  expect(await rig.refusal(body, signed(62))).toMatchObject({
    message: expect.stringContaining("ahead"),
  });
  expect(await rig.refusal(body, signed(0, "other"))).toMatchObject({ code: "UNAUTHORIZED" });
  expect(await rig.refusal(body, { "stripe-signature": "v1=x" })).toMatchObject({
    code: "UNAUTHORIZED",
  });
});

test("of standard id, time and body are signed with the decoded key, and an id is taken once", async () => {
  const rig = new Rig();
  const key = Buffer.from("a key of twenty-four byt");
  await rig.expectOf({ scheme: "standard", secret: `whsec_${key.toString("base64")}` });
  const signed = (id: string, text = body, off = 0) => {
    const at = rig.at(off);
    const signature = createHmac("sha256", key).update(`${id}.${at}.${text}`).digest("base64");
    return {
      "webhook-id": id,
      "webhook-timestamp": at,
      "webhook-signature": `v1a,zzz v1,${signature}`,
    };
  };

  const first = await rig.receive(body, signed("m1"));
  expect(await rig.receive(body, signed("m1"))).toEqual(first);
  expect(await rig.receive("{}", signed("m1", "{}"))).toEqual(first);
  expect((await rig.receive(body, signed("m2"))).job_id).not.toBe(first.job_id);
  expect(await rig.refusal(body, { ...signed("m3"), "webhook-id": "m4" })).toMatchObject({
    code: "UNAUTHORIZED",
  });
  expect(await rig.refusal(body, signed("m5", body, -301))).toMatchObject({ code: "UNAUTHORIZED" });
});

test("a header can be named for the id, or none; and headers become tags, cut to their length", async () => {
  const rig = new Rig();
  await rig.expectOf({ id_header: "X-Event-Id", tag_headers: ["X-Kind", "X-Missing"] });
  const headers = { "x-event-id": "e1", "x-kind": "k".repeat(300) };

  const first = await rig.receive("1", headers, { tags: "a:b" });
  expect(await rig.receive("2", headers)).toEqual(first);
  expect(await rig.job(first.job_id)).toMatchObject({
    tags: { "x-kind": "k".repeat(256), a: "b" },
  });

  await rig.expectOf({ scheme: "github", secret, id_header: "" });
  const signed = { "x-hub-signature-256": `sha256=${hexOf("1")}`, "x-github-delivery": "d" };
  const one = await rig.receive("1", signed);
  expect((await rig.receive("1", signed)).job_id).not.toBe(one.job_id);
});

test("settings that make no sense are refused, and are removed again", async () => {
  const rig = new Rig();
  const wrong: [Partial<Settings>, string][] = [
    [{ scheme: "github" }, "VALIDATION_ERROR"],
    [{ scheme: "none", secret }, "VALIDATION_ERROR"],
    [{ scheme: "github", secret, tolerance: "1m" }, "VALIDATION_ERROR"],
    [{ scheme: "stripe", secret, tolerance: "soon" }, "VALIDATION_ERROR"],
    [{ scheme: "stripe", secret, tolerance: "48h" }, "LIMIT_EXCEEDED"],
    [{ tag_headers: ["a b"] }, "VALIDATION_ERROR"],
  ];
  for (const [settings, code] of wrong) {
    await expect(rig.expectOf(settings)).rejects.toMatchObject({ code });
  }
  await rig.expectOf({ scheme: "github", secret });
  const input = { params: { name: "q" }, query: {}, body: {} };
  await rig.service.handlers.deleteIncoming(input, { signal: neverAborted });
  await rig.receive("{}");
  await expect(
    rig.service.handlers.deleteIncoming(input, { signal: neverAborted }),
  ).rejects.toMatchObject({ code: "NOT_FOUND" });
});
