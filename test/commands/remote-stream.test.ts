/** The session with a shard on another node, over a real socket. */
import { expect, test } from "bun:test";
import { openRemoteStream } from "../../src/commands/server/remote-stream.ts";

const events = { push() {}, lost() {} };
const frame = { id: 7, enqueue: [{ queue: "q" }] };

test("[A10] only a frame that was not sent is told when to send it again", async () => {
  await using leader = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: (request, server) => (server.upgrade(request) ? undefined : new Response()),
    websocket: { message: (socket) => socket.terminate() },
  });
  const target = { url: leader.url.origin, shard: 1 };
  const session = openRemoteStream(target, events);

  const sent = JSON.parse(await session.frame(frame));
  const late = JSON.parse(await session.frame(frame));

  expect(sent).toMatchObject({ id: 7, code: "OUTCOME_UNKNOWN" });
  expect(sent).not.toHaveProperty("retry_after_ms");
  expect(late).toMatchObject({ id: 7, code: "UNAVAILABLE", retry_after_ms: 200 });
});
