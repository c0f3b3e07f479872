/** Bodies that are taken as they come. */
import { expect, test } from "bun:test";
import { httpFixture } from "../support/http-app.ts";

const fixture = httpFixture({ limits: { payloadBytesMax: 400 } });

async function send(body: string | Uint8Array<ArrayBuffer> | undefined, query = "") {
  fixture.calls.length = 0;
  const reply = await fixture.app.handle(
    new Request(`http://localhost/api/v1/webhooks/q%7B${query}`, {
      method: "POST",
      headers: { "content-type": "application/x-thing", "X-Own": "Yes" },
      ...(body === undefined ? {} : { body }),
    }),
  );
  const answer = (await reply.json()) as { readonly code: string; readonly error: string };
  const input = fixture.calls[0]?.input as
    | { readonly body: { readonly text: string; readonly headers: Record<string, string> } }
    | undefined;
  return { answer, input };
}

test("text of any kind comes through unchanged, with the headers of its call", async () => {
  for (const text of ['{"a":1}', "no json {", "", " \n", "\ufeff1", "é\u0000", "{}".repeat(200)]) {
    const { input } = await send(text, "?tags=a:b&unknown=1");

    expect(input).toMatchObject({
      params: { name: "q{" },
      query: { tags: "a:b" },
      body: { text, headers: { "content-type": "application/x-thing", "x-own": "Yes" } },
    });
  }
  expect((await send(undefined)).input).toMatchObject({ body: { text: "" } });
});

test("what is no text, or too large for a payload, is refused", async () => {
  expect((await send(new Uint8Array([0xff, 0xfe]))).answer).toMatchObject({ code: "PARSE_ERROR" });
  expect((await send("x".repeat(401))).answer).toMatchObject({
    code: "PAYLOAD_TOO_LARGE",
    error: expect.stringContaining("payloadBytesMax"),
  });
  expect(fixture.calls).toEqual([]);
});

test("the names of webhooks and those of queues do not get into each other's way", async () => {
  const called = async (method: string, path: string) => {
    fixture.calls.length = 0;
    await fixture.app.handle(new Request(`http://localhost/api/v1/webhooks${path}`, { method }));
    return fixture.calls.map(({ name }) => name).join();
  };

  expect(await called("GET", "")).toBe("listWebhooks");
  expect(await called("GET", "/incoming")).toBe("listIncoming");
  expect(await called("POST", "/incoming")).toBe("receiveWebhook");
  expect(await called("GET", "/wh_1")).toBe("getWebhook");
  expect(await called("DELETE", "/wh_1")).toBe("deleteWebhook");
  expect(await called("POST", "/wh_1/test")).toBe("testWebhook");
  expect(await called("GET", "/callbacks/deliveries")).toBe("listDeliveries");
  expect(await called("DELETE", "/incoming/q")).toBe("deleteIncoming");
});
