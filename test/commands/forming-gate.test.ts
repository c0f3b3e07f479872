/** Who is let in while a node starts. */
import { expect, test } from "bun:test";
import { FormingGate } from "../../src/commands/server/forming-gate.ts";
import { memoryLogger } from "../../test/support/system-ports.ts";
import { NodeRig, neverAborted } from "../support/node-rig.ts";

const call = { signal: neverAborted };
const input = { params: {}, query: {}, body: {} };

function gateOf(expect: number | undefined, voters: () => number) {
  const opened: number[] = [];
  const gate = new FormingGate({
    expect,
    voterCount: voters,
    onOpen: () => opened.push(voters()),
    logger: memoryLogger(),
  });
  const handlers = gate.guardHandlers(new NodeRig().service.handlers);
  const enqueue = async () => handlers.enqueueJob({ ...input, body: { queue: "q" } }, call);
  return { gate, handlers, enqueue, opened };
}

test("a node that starts takes no work until it has settled, and says that it starts", async () => {
  const { gate, handlers, enqueue } = gateOf(undefined, () => 1);

  await expect(enqueue()).rejects.toMatchObject({
    code: "UNAVAILABLE",
    message: "this node is starting",
    retryAfterMs: 50,
  });
  await expect((async () => handlers.ready(input, call))()).rejects.toThrow("is starting");
  expect(await handlers.health(input, call)).toMatchObject({ status: "ok" });

  gate.open();
  expect(await enqueue()).toMatchObject({ status: "pending" });
});

test("a cluster that is being formed takes no work until as many vote as were waited for", async () => {
  let voters = 1;
  const { gate, enqueue, opened } = gateOf(3, () => voters);
  gate.open();

  await expect(enqueue()).rejects.toThrow("waiting for 3 nodes that vote, have 1");
  voters = 3;
  gate.look();
  expect(await enqueue()).toMatchObject({ status: "pending" });
  voters = 2;
  gate.look();
  expect(await enqueue()).toMatchObject({ status: "pending" });
  expect(opened).toEqual([3]);
});
