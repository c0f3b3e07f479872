/** Which calls wait until a read is known to be linearizable, and what a node without a leader says of itself. */
import { describe, expect, test } from "bun:test";
import { Reply } from "../../src/api/operations.ts";
import { NodeRig, settle } from "../support/node-rig.ts";

const context = { signal: new AbortController().signal };

async function rigWithJob() {
  const rig = new NodeRig();
  const { job_id } = await rig.enqueue({ queue: "q", payload: null });
  const read = (consistency?: "strong" | "stale") => {
    const query = consistency === undefined ? {} : { consistency };
    return rig.service.handlers.getJob({ params: { job_id }, query, body: {} }, context);
  };
  return { rig, job_id, read };
}

describe("[A16] reads", () => {
  test.each([undefined, "strong"] as const)("wait for the confirmation (%s)", async (wanted) => {
    const { rig, read } = await rigWithJob();
    const confirmation = Promise.withResolvers<void>();
    rig.log.confirmRead = () => confirmation.promise;
    let isAnswered = false;
    const answer = read(wanted).then((job) => {
      isAnswered = true;
      return job;
    });
    await settle();
    expect(isAnswered).toBe(false);
    confirmation.resolve();
    expect(await answer).toMatchObject({ queue: "q" });
  });

  test("see what was applied while they waited", async () => {
    const { rig, job_id, read } = await rigWithJob();
    const confirmation = Promise.withResolvers<void>();
    rig.log.confirmRead = () => confirmation.promise;
    const answer = read();
    await rig.act("cancelJob", job_id);
    confirmation.resolve();
    expect(await answer).toMatchObject({ state: "cancelled" });
  });

  test("that are stale wait for nothing, nor do writes", async () => {
    const { rig, job_id, read } = await rigWithJob();
    rig.log.confirmRead = () => new Promise(() => {});
    expect(await read("stale")).toMatchObject({ queue: "q" });
    await rig.act("cancelJob", job_id);
    await rig.service.handlers.clusterStatus({ params: {}, query: {}, body: {} }, context);
  });

  test("are refused, to be sent again, when this node does not lead after all", async () => {
    const { rig, read } = await rigWithJob();
    rig.log.confirmRead = () => Promise.reject("notLeader");
    await expect(read()).rejects.toMatchObject({ code: "UNAVAILABLE", retryAfterMs: 200 });
  });
});

test("[A16] a write is not refused for want of its job before this node is known to lead", async () => {
  const { rig, job_id } = await rigWithJob();
  await rig.act("deleteJob", job_id);
  rig.log.confirmRead = () => Promise.reject("notLeader");
  await expect(rig.act("cancelJob", job_id)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  rig.log.confirmRead = () => Promise.resolve();
  await expect(rig.act("cancelJob", job_id)).rejects.toMatchObject({ code: "NOT_FOUND" });
});

test("a node that knows no leader is not healthy", async () => {
  const rig = new NodeRig();
  const look = () => rig.service.handlers.health({ params: {}, query: {}, body: {} }, context);
  expect(await look()).toEqual({ status: "ok" });
  rig.leaderId = undefined;
  expect(await look()).toEqual(
    new Reply(503, { status: "unhealthy", reason: "no leader is known to this node" }),
  );
});
