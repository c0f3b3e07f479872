/** Against real servers on loopback. */
import { afterAll, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { join } from "node:path";
import { systemClock, systemTimers } from "../../../src/commands/_shared/system.ts";
import { parseAllowRule } from "../../../src/net/outbound/address.ts";
import { createPost, type Message } from "../../../src/net/outbound/post.ts";
import { createAuthority, whyNoCertificates } from "../../support/certificates.ts";
import { ManualTime, settle } from "../../support/node-rig.ts";
import { tempDir } from "../../support/temp-dir.ts";

const seen: { path: string; headers: Record<string, string>; body: string }[] = [];
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    const headers = Object.fromEntries(request.headers);
    seen.push({ path: pathname + search, headers, body: await request.text() });
    switch (pathname) {
      case "/redirect":
        return new Response(null, { status: 307, headers: { location: "/secret" } });
      case "/busy":
        return new Response("come\nback \u001b[31mlater", {
          status: 503,
          headers: { "retry-after": "7" },
        });
      case "/endless":
        return new Response(new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(16_384)) }));
      case "/silent":
        return new Promise<Response>(() => {});
      default:
        return new Response("ok");
    }
  },
});
afterAll(() => server.stop(true));

const loopback = parseAllowRule("127.0.0.1");
const allow = loopback === undefined ? [] : [loopback];
const post = createPost({ clock: systemClock, timers: systemTimers, allow });
const message = (path: string, more: Partial<Message> = {}): Message => ({
  ...{
    id: "dlv_1",
    url: `http://127.0.0.1:${server.port}${path}`,
    secret: "",
    headers: {},
    body: "{}",
  },
  ...more,
});

test("a message arrives with its headers, and both signatures are those that a receiver computes", async () => {
  const key = Buffer.from("0123456789abcdef01234567").toString("base64");
  const secret = `whsec_${key}`;
  const body = '{"a":"é"}';

  expect(await post(message("/in?x=1", { secret, body, headers: { "x-own": "1" } }))).toEqual({
    status: 200,
  });

  const got = seen.at(-1);
  expect(got).toMatchObject({
    path: "/in?x=1",
    body,
    headers: { "x-own": "1", "webhook-id": "dlv_1" },
  });
  const at = got?.headers["webhook-timestamp"] ?? "";
  const standard = createHmac("sha256", Buffer.from(key, "base64")).update(`dlv_1.${at}.${body}`);
  expect(got?.headers["webhook-signature"]).toBe(`v1,${standard.digest("base64")}`);
  const plain = createHmac("sha256", secret).update(body).digest("hex");
  expect(got?.headers["x-corvo-signature"]).toBe(`sha256=${plain}`);
});

test("a redirect is an answer, and nobody follows it", async () => {
  const count = seen.length;

  expect(await post(message("/redirect"))).toEqual({
    status: 307,
    error: "answered 307; redirects are not followed",
  });
  expect(seen).toHaveLength(count + 1);
});

test("of a failure its beginning is told in plain characters, with the pause that it asks for", async () => {
  expect(await post(message("/busy"))).toEqual({
    status: 503,
    error: "answered 503: come back [31mlater",
    retryAfterMs: 7000,
  });
});

test("an endless answer is cut, and its status counts", async () => {
  expect(await post(message("/endless"))).toEqual({ status: 200 });
});

test("who does not answer in time is left", async () => {
  const time = new ManualTime();
  const patient = createPost({ clock: time, timers: time, allow });
  const count = seen.length;

  const answer = patient(message("/silent"));
  while (seen.length === count) await settle();
  await time.pass(10_000);

  expect(await answer).toEqual({ status: 0, error: "no answer within 10000 ms" });
});

test("when the time is over before the name is resolved, nothing is sent afterwards", async () => {
  const rule = parseAllowRule("localhost");
  const rules = rule === undefined ? [] : [rule];
  const time = new ManualTime();
  const patient = createPost({ clock: time, timers: time, allow: rules });
  const prompt = createPost({ clock: systemClock, timers: systemTimers, allow: rules });
  const toName = (path: string) => message(path, { url: `http://localhost:${server.port}${path}` });

  const answer = patient(toName("/too-late"));
  await time.pass(10_000);
  expect(await answer).toEqual({ status: 0, error: "no answer within 10000 ms" });
  // By the time that these have come the name was resolved for the first one, too.
  for (const path of ["/next", "/last"])
    expect(await prompt(toName(path))).toEqual({ status: 200 });

  expect(seen.map(({ path }) => path)).not.toContain("/too-late");
});

test("addresses that are not public are not called, by number or by name", async () => {
  const strict = createPost({ clock: systemClock, timers: systemTimers, allow: [] });
  const count = seen.length;

  for (const host of [
    "127.0.0.1",
    "localhost",
    "2130706433",
    "0x7f.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "0",
  ]) {
    const url = `http://${host}:${server.port}/`;
    expect(await strict(message("/", { url }))).toMatchObject({
      status: 0,
      error: expect.stringContaining("not public"),
    });
  }
  expect(seen).toHaveLength(count);
});

test("a host that the operator allows is called at the address that was judged", async () => {
  const rule = parseAllowRule("localhost");
  const byName = createPost({
    clock: systemClock,
    timers: systemTimers,
    allow: rule === undefined ? [] : [rule],
  });
  const url = `http://localhost:${server.port}/named`;

  expect(await byName(message("", { url }))).toMatchObject({ status: 200 });
  expect(seen.at(-1)?.headers["host"]).toBe(`localhost:${server.port}`);
});

const reason = whyNoCertificates();
if (reason !== undefined) process.stderr.write(`TLS of webhooks is not tested: ${reason}\n`);

test.skipIf(reason !== undefined)(
  "a server that nobody vouches for is not spoken to; one of an authority that the operator names is",
  async () => {
    using directory = tempDir();
    const authority = createAuthority(directory.path);
    const { cert, key } = authority.issue("IP:127.0.0.1");
    const fetch = () => new Response("ok");
    await using tls = Bun.serve({ port: 0, hostname: "127.0.0.1", tls: { cert, key }, fetch });
    const url = `https://127.0.0.1:${tls.port}/`;

    const answer = await post(message("", { url }));
    expect(answer.status).toBe(0);
    expect(answer.error).toMatch(/certificate/i);

    const file = join(directory.path, "authority.pem");
    await Bun.write(file, authority.ca);
    const script = new URL("../../support/post-once.ts", import.meta.url).pathname;
    const { stdout } = Bun.spawn([process.execPath, script, url], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: file },
      stdout: "pipe",
    });
    expect(await new Response(stdout).json()).toEqual({ status: 200 });
  },
);

test("a name that nobody knows and a port where nobody listens are failures with words", async () => {
  const unknown = await post(message("", { url: "http://no-such-host.invalid/" }));
  const closed = await post(message("", { url: "http://127.0.0.1:1/" }));

  expect(unknown.status).toBe(0);
  expect(unknown.error).not.toBe("");
  expect(closed.status).toBe(0);
  expect(closed.error).not.toBe("");
});
