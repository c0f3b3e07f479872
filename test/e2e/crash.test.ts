/** `npm run crash` in short: kill -9 in the middle of everything, several times, and every answer given still holds. */
import { expect, test } from "bun:test";
import { Place } from "../support/binary.ts";
import { crashRun } from "../support/crash/crash-run.ts";

test("[G29] after kill -9 at any moment every acknowledged call holds, and no other was applied twice", async () => {
  await using place = await Place.create();
  const seed = Math.floor(Math.random() * 2 ** 31);

  const report = await crashRun(place, { cycles: 6, seed });

  expect({ seed, problems: report.problems }).toEqual({ seed, problems: [] });
  expect(report.acks).toBeGreaterThan(50);
}, 60_000);
