/** The first minutes with the program, typed as the README says, in a folder that holds nothing but the executable. */
import { expect, test } from "bun:test";
import { Place } from "../support/binary.ts";

test("a job goes from enqueue through a worker to completed, by the lines of the quick start", async () => {
  await using place = await Place.create();
  const server = await place.serve();

  const added = await place.shell(`corvo enqueue emails.send '{"to":"user@example.com"}'`);
  const worker = place.start(["worker", "emails.send"]);
  const id = /job_[0-9a-f]{26}/.exec(added.stdout)?.[0] ?? "";
  const finished = await place.run(["jobs", "wait", id, "--timeout", "20s"]);
  const list = await place.shell("corvo jobs list");
  worker.kill("SIGTERM");

  expect(added).toMatchObject({ code: 0, stderr: "added to emails.send, pending\n" });
  expect(finished.code).toBe(0);
  expect(list.stdout).toContain("emails.send");
  expect(list.stdout).toContain("completed");
  expect(await worker.exited).toBe(0);
  expect(await server.stop()).toBe(0);
});
