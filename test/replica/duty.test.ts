import { expect, test } from "bun:test";
import { CorvoError } from "../../src/base/errors.ts";
import { Duty, never } from "../../src/replica/duty.ts";

/** A duty whose looks end when the test says so, and timers that it fires by hand. */
function createRig() {
  const looks: { resolve: (waitMs: number) => void; reject: (error: Error) => void }[] = [];
  const timers = new Map<number, { delayMs: number; fire: () => void }>();
  const logged: string[] = [];
  let nextTimer = 0;
  const replica = { isLeader: true };
  const note = (message: string) => void logged.push(message);
  const duty = new Duty(
    {
      replica,
      timers: {
        after(delayMs, fire) {
          const id = nextTimer++;
          timers.set(id, { delayMs, fire });
          return () => timers.delete(id);
        },
      },
      logger: { debug: note, info: note, warn: note, error: note },
    },
    {
      failure: "nothing could be done",
      look: () => new Promise((resolve, reject) => looks.push({ resolve, reject })),
    },
  );
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    duty,
    replica,
    logged,
    looks,
    delays: () => [...timers.values()].map(({ delayMs }) => delayMs),
    fire() {
      for (const [id, { fire }] of [...timers]) {
        timers.delete(id);
        fire();
      }
    },
    async end(waitMs = never) {
      looks.at(-1)?.resolve(waitMs);
      await settle();
    },
    async fail(error: Error) {
      looks.at(-1)?.reject(error);
      await settle();
    },
  };
}

test("a duty looks when asked, one look at a time, and once more when it was asked meanwhile", async () => {
  const { duty, looks, end, delays } = createRig();

  duty.ask();
  duty.ask();
  duty.ask();
  expect(looks).toHaveLength(1);
  await end();
  expect(looks).toHaveLength(2);
  await end();

  expect(looks).toHaveLength(2);
  expect(delays()).toEqual([]);
});

test("a duty looks again at the time that its last look named, or sooner when it is asked", async () => {
  const { duty, looks, end, delays, fire } = createRig();

  duty.ask();
  await end(70);
  expect(delays()).toEqual([70]);
  fire();
  expect(looks).toHaveLength(2);
  await end(5000);
  duty.ask();

  expect(looks).toHaveLength(3);
  expect(delays()).toEqual([]);
});

test("a look that failed is repeated after a pause which only a new term of office cuts short", async () => {
  const { duty, looks, fail, fire, logged } = createRig();

  duty.ask();
  await fail(new CorvoError("OVERLOADED", "too much waits for the log"));
  duty.ask();
  expect(looks).toHaveLength(1);
  expect(logged).toEqual([]);
  fire();
  expect(looks).toHaveLength(2);
  await fail(new Error("a bug"));
  expect(logged).toEqual(["nothing could be done"]);
  duty.lead();

  expect(looks).toHaveLength(3);
});

test("a node that does not lead, or has stopped, does nothing", async () => {
  const { duty, replica, looks, end, fail, delays } = createRig();

  replica.isLeader = false;
  duty.ask();
  expect(looks).toHaveLength(0);
  replica.isLeader = true;
  duty.lead();
  expect(looks).toHaveLength(1);
  replica.isLeader = false;
  await fail(new CorvoError("UNAVAILABLE", "this node does not lead at the moment"));
  expect(delays()).toEqual([]);

  replica.isLeader = true;
  duty.lead();
  await end(1000);
  duty.stop();
  duty.lead();
  expect(delays()).toEqual([]);
  expect(looks).toHaveLength(2);
});

test("what rounding leaves of a wait is a millisecond, so that a look is never repeated at the same time", async () => {
  const { duty, end, delays } = createRig();

  duty.ask();
  await end(3e-12);

  expect(delays()).toEqual([1]);
});

test("a look that throws at once is one that failed: its caller hears nothing, and it is repeated", async () => {
  const logged: string[] = [];
  const note = (message: string) => void logged.push(message);
  const fires: (() => void)[] = [];
  let looks = 0;
  const duty = new Duty(
    {
      replica: { isLeader: true },
      timers: {
        after(_, fire) {
          fires.push(fire);
          return () => {};
        },
      },
      logger: { debug: note, info: note, warn: note, error: note },
    },
    {
      failure: "nothing could be done",
      look: () => {
        looks++;
        throw new Error("a bug");
      },
    },
  );

  expect(() => duty.ask()).not.toThrow();
  await new Promise<void>((resolve) => setImmediate(resolve));
  expect(logged).toEqual(["nothing could be done"]);
  fires[0]?.();

  expect(looks).toBe(2);
});
