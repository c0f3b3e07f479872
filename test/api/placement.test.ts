/** Every operation says where its jobs are, and has the members by which that is found. */
import { expect, test } from "bun:test";
import type { Operation } from "../../src/api/operation.ts";
import { operations } from "../../src/api/operations.ts";

const all = Object.entries<Operation>(operations);
const named = (schema: object, member: string) =>
  Object.hasOwn((schema as { properties?: object }).properties ?? {}, member);

test.each(all.filter(([, { placement }]) => placement === "queue"))(
  "%s, placed by its queue, names one",
  (_, operation) => {
    expect(named(operation.params, "name") || named(operation.body, "queue")).toBe(true);
  },
);

test.each(all.filter(([, { placement }]) => placement === "job"))(
  "%s, placed by its job or group of jobs, names one",
  (_, operation) => {
    expect(["job_id", "chain_id", "batch_id"].some((id) => named(operation.params, id))).toBe(true);
  },
);

test("what any node answers is placed nowhere, and nothing else is", () => {
  for (const [name, { placement, answeredBy }] of all) {
    expect([name, placement === "node"]).toEqual([name, answeredBy === "any"]);
  }
});
