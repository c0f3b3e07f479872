/** Values of users go through the whole program, and the disk, as the bytes that were sent. */
import { expect, test } from "bun:test";
import { Place } from "../support/binary.ts";

const payload = '{"n":12345678901234567890,"b":1.0,"a":"é","z":[1e400,-0.0, "\\u00e9"],"é":null}';

test("[A3] a payload comes back byte for byte from claim, get, search and the command line, also after a crash", async () => {
  await using place = await Place.create();
  const first = await place.serve();
  const body = `{"queue":"exact","payload":${payload},"checkpoint":${payload}}`;
  const added = await first.call("POST", "/api/v1/enqueue", body);
  const id = (JSON.parse(added.text) as { job_id: string }).job_id;
  const typed = await place.run(["enqueue", "typed", payload]);

  await first.stop("SIGKILL");
  await using server = await place.serve();
  const got = await server.call("GET", `/api/v1/jobs/${id}`);
  const shown = await place.run(["jobs", "get", id, "--json"]);
  const found = await server.call("POST", "/api/v1/jobs/search", '{"queue":"exact"}');
  const listed = await place.run(["jobs", "list", "--queue", "typed", "--json"]);
  const text = await server.call("GET", "/api/v1/search/fulltext?q=12345678901234567890");
  const claimed = await server.call("POST", "/api/v1/fetch", '{"queues":["exact"],"wait_ms":0}');

  expect(added.status).toBe(201);
  expect(typed.code).toBe(0);
  for (const answer of [got.text, shown.stdout, found.text, listed.stdout, claimed.text]) {
    expect(answer).toContain(`"payload":${payload}`);
  }
  for (const answer of [got.text, claimed.text]) {
    expect(answer).toContain(`"checkpoint":${payload}`);
  }
  expect((JSON.parse(text.text) as { results: { payload: string }[] }).results[0]?.payload).toBe(
    payload,
  );
});

test("[A3] results, progress and checkpoints of a worker come back byte for byte", async () => {
  await using place = await Place.create();
  await using server = await place.serve();
  const { job_id: id } = await server.json<{ job_id: string }>("POST", "/api/v1/enqueue", {
    queue: "q",
  });
  const { lease_token: token } = await server.json<{ lease_token: string }>(
    "POST",
    "/api/v1/fetch",
    { queues: ["q"], wait_ms: 0 },
  );

  await server.call(
    "POST",
    "/api/v1/heartbeat",
    `{"jobs":{"${id}":{"lease_token":"${token}","progress":${payload},"checkpoint":${payload}}}}`,
  );
  const running = await server.call("GET", `/api/v1/jobs/${id}`);
  const acked = await server.call(
    "POST",
    `/api/v1/ack/${id}`,
    `{"lease_token":"${token}","result":${payload}}`,
  );
  const done = await server.call("GET", `/api/v1/jobs/${id}`);

  expect(running.text).toContain(`"progress":${payload}`);
  expect(running.text).toContain(`"checkpoint":${payload}`);
  expect(acked.status).toBe(200);
  expect(done.text).toContain(`"result":${payload}`);
});
