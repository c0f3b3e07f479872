import { expect, test } from "bun:test";
import fc from "fast-check";
import { version } from "../../package.json";
import { type Change, decodeBatch, encodeBatch } from "../../src/engine/change.ts";
import {
  EntryTooNew,
  featureLevels,
  levelOfVersion,
  needOf,
  newestFeatureLevel,
  versionOfLevel,
} from "../../src/engine/feature-levels.ts";
import { EngineRig } from "../support/engine-rig.ts";
import { batchStep } from "../support/histories.ts";

const admit = (uuid: string, version: string): Change => ({
  kind: "admitMember",
  uuid,
  version,
  httpUrl: "http://h",
  peerAddress: "h:1",
});

const raise: Change = { kind: "raiseFeatureLevel", level: 2 };

test("[F1] the levels are numbered from 1 by rising versions, and this program's version knows all of them", () => {
  expect(featureLevels.map(({ level }) => Number(level))).toEqual(
    featureLevels.map((_, i) => i + 1),
  );
  for (const { level, version: first } of featureLevels) expect(levelOfVersion(first)).toBe(level);
  expect(levelOfVersion(version)).toBe(newestFeatureLevel);
});

test("[F1] a version knows what came with it or before; one that cannot be read counts as the oldest", () => {
  expect(["0.3.9", "0.4.0", "0.4.99", "", "test"].map(levelOfVersion)).toEqual([1, 1, 1, 1, 1]);
  expect(["0.5.0", "0.5.1-rc.1", "0.5.99"].map(levelOfVersion)).toEqual([2, 2, 2]);
  expect(["0.6.0", "0.10.0", "12.0.0+x"].map(levelOfVersion)).toEqual([3, 3, 3]);
  expect(versionOfLevel(2)).toBe("0.5.0");
  expect(versionOfLevel(99)).toContain("later than");
});

test("[F2] every change that there is has a level that this program knows", () => {
  fc.assert(
    fc.property(batchStep, ({ changes }) => {
      for (const change of changes) {
        const { level, because } = needOf(change);
        expect(level).toBeLessThanOrEqual(newestFeatureLevel);
        expect(because === undefined).toBe(level === 1);
      }
    }),
    { numRuns: 300 },
  );
});

test("[F2] a kind, a member or an option that no row names is needed by nobody's level: it is refused", () => {
  const unknown = { kind: "enqueue", jobs: [{ queue: "q", payload: "1", mood: "good" }] };
  const option = { kind: "enqueue", jobs: [{ queue: "q", payload: "1", options: { mood: 1 } }] };

  expect(needOf(unknown as Change).level).toBe(Number.POSITIVE_INFINITY);
  expect(needOf(option as Change)).toMatchObject({ because: "mood of job" });
  expect(needOf(raise)).toEqual({ level: 2, because: "raiseFeatureLevel" });
});

test("[F3] an entry names its level and the version that knows it; level 1 is written as its programs wrote it", () => {
  const batch = { nowMs: 1, seed: 2, changes: [] };

  expect(encodeBatch(batch, 1)).toBe('1\n{"nowMs":1,"seed":2,"changes":[]}');
  expect(encodeBatch(batch, 2)).toStartWith("2 0.5.0\n{");
  for (const { level } of featureLevels)
    expect(decodeBatch(encodeBatch(batch, level))).toEqual(batch);
});

test("[F4] an entry of a level that this program does not know names the version to start, and is not guessed at", () => {
  expect(() => decodeBatch('9 7.1.0\n{"surprise":true}')).toThrow(EntryTooNew);
  expect(() => decodeBatch("9 7.1.0\n{}")).toThrow("needs corvo 7.1.0 or later");
  expect(() => decodeBatch("x\n{}")).toThrow('log entry that begins with "x');
});

test("[F5] the level rises when every member's version knows it, and never falls", () => {
  const rig = new EngineRig();
  rig.apply(admit("a", "0.5.0"));
  rig.apply(admit("b", "0.4.0"));

  const early = rig.apply(raise);
  expect(early).toMatchObject({ kind: "rejected", code: "UNSUPPORTED" });
  expect(early).toMatchObject({ message: expect.stringContaining('node 2 runs version "0.4.0"') });
  expect(rig.engine.featureLevel).toBe(1);

  rig.apply(admit("b", "0.5.0"));
  expect(rig.apply(raise)).toEqual({ kind: "ok" });
  expect(rig.engine.featureLevel).toBe(2);
  rig.apply({ kind: "raiseFeatureLevel", level: 1 });
  expect(rig.engine.featureLevel).toBe(2);
});

test("[F5] a node of an older version is not admitted any more, and a member does not go back to one", () => {
  const rig = new EngineRig();
  rig.apply(admit("a", "0.5.0"));
  rig.apply(raise);

  for (const uuid of ["a", "b"]) {
    expect(rig.apply(admit(uuid, "0.4.0"))).toMatchObject({
      kind: "rejected",
      code: "UNSUPPORTED",
    });
  }
  expect(rig.state.meta.members.map((member) => [member.uuid, member.version])).toEqual([
    ["a", "0.5.0"],
  ]);
});
