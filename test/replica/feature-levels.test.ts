import { expect, test } from "bun:test";
import type { Change, NewJob } from "../../src/engine/change.ts";
import {
  EntryTooNew,
  newestFeatureLevel,
  versionOfLevel,
} from "../../src/engine/feature-levels.ts";
import { NodeRig } from "../support/node-rig.ts";

const job: NewJob = { queue: "q", payload: "1" };
const admit = (uuid: string, version: string): Change => ({
  kind: "admitMember",
  uuid,
  version,
  httpUrl: "http://h",
  peerAddress: "h:1",
});

function rigAtLevelOne(): NodeRig {
  const rig = new NodeRig();
  rig.replica.engine.state.meta.featureLevel = 1;
  return rig;
}

test("[F3] entries are written for the oldest program until the level is raised, by an entry of the new one", async () => {
  const { replica, log } = rigAtLevelOne();

  await replica.submit(admit("a", versionOfLevel(newestFeatureLevel)));
  await replica.submit({ kind: "enqueue", jobs: [job] });
  await replica.submit({ kind: "raiseFeatureLevel", level: newestFeatureLevel });
  await replica.submit({ kind: "enqueue", jobs: [job] });

  const heads = log.entries.map((text) => text.slice(0, text.indexOf("\n")));
  const newest = `${newestFeatureLevel} ${versionOfLevel(newestFeatureLevel)}`;
  expect(heads).toEqual(["1", "1", newest, newest]);
});

test("[F4] a committed entry of an unknown level is not applied", () => {
  const { replica } = new NodeRig();
  const data = new TextEncoder().encode('99 9.9.9\n{"nowMs":1,"seed":1,"changes":[]}');

  expect(() => replica.applyEntry({ term: 1, index: 1, type: "EntryNormal", data })).toThrow(
    EntryTooNew,
  );
});

test("[F7] a change above the cluster's level is refused before the log, and named; the others go through", async () => {
  const { replica, log } = rigAtLevelOne();
  const later: Change = { kind: "enqueue", jobs: [{ ...job, deadlineMs: 1000 }] };

  const refused = await replica.submit(later).catch((error: unknown) => error);
  const taken = await replica.submit({ kind: "enqueue", jobs: [job] });

  expect(refused).toMatchObject({
    code: "UNSUPPORTED",
    message: expect.stringContaining("deadlineMs of job needs feature level"),
    hint: expect.stringContaining("corvo cluster status"),
  });
  expect(taken).toMatchObject({ kind: "enqueued" });
  expect(log.entries).toHaveLength(1);
});

test("[W2] a change of a wrong form is refused at the door: no entry, and what waits behind it goes through", async () => {
  const { replica, log } = new NodeRig();
  const bad: Change = { kind: "claim", queues: ["q"], count: 1, leaseMs: Number.NaN };

  const refused = await replica.submit(bad).catch((error: unknown) => error);
  const taken = await replica.submit({ kind: "enqueue", jobs: [job] });

  expect(refused).toMatchObject({
    code: "VALIDATION_ERROR",
    message: expect.stringContaining("leaseMs: expected a whole number"),
  });
  expect(taken).toMatchObject({ kind: "enqueued" });
  expect(log.entries).toHaveLength(1);
});
