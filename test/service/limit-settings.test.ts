/** What is set for the parts of a queue, and how it is found and removed again. */
import { expect, test } from "bun:test";
import { NodeRig, neverAborted } from "../support/node-rig.ts";

const call = { signal: neverAborted };
const params = { name: "q" };
const settings = [
  [{}, { concurrency: 1 }],
  [{ each_key: true }, { concurrency: 2 }],
  [{ key: "k" }, { concurrency: 3 }],
  [{ each_group: true }, { backlog: 4 }],
  [{ group: "g" }, { weight: 5 }],
] as const;

async function rigWithLimits(): Promise<NodeRig> {
  const rig = new NodeRig();
  for (const [part, values] of settings) {
    const body = { ...part, ...values };
    await rig.service.handlers.setLimit({ params, query: {}, body }, call);
  }
  return rig;
}

test("what is set for each part of a queue is shown for that part", async () => {
  const { handlers } = (await rigWithLimits()).service;

  for (const [part, values] of settings) {
    const shown = await handlers.getLimit({ params, query: part, body: {} }, call);
    expect(shown).toMatchObject({ queue: "q", ...part, ...values });
  }
  const both = { key: "k", each_group: true };
  await expect(handlers.getLimit({ params, query: both, body: {} }, call)).rejects.toThrow(
    "exclude each other",
  );
});

test("a removal takes the part from the body as well as from the query, and removes nothing else", async () => {
  const { handlers } = (await rigWithLimits()).service;
  const left = async () => {
    const answer = await handlers.listLimits({ params: {}, query: {}, body: {} }, call);
    return "limits" in answer ? answer.limits.length : -1;
  };

  await handlers.removeLimit({ params, query: {}, body: { key: "k" } }, call);
  expect(await left()).toBe(4);
  await handlers.removeLimit({ params, query: { group: "g" }, body: {} }, call);
  expect(await left()).toBe(3);
  await expect(
    (async () =>
      handlers.removeLimit({ params, query: { key: "k" }, body: { each_key: true } }, call))(),
  ).rejects.toThrow("exclude each other");
  expect(await handlers.getLimit({ params, query: {}, body: {} }, call)).toMatchObject({
    concurrency: 1,
  });
});
