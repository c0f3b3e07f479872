import { expect, test } from "bun:test";
import { addTo, Campaign, optionsOf, runHere } from "./campaign.ts";

test("a campaign in several processes sees what the same seeds show in one", async () => {
  const options = { from: 30, seeds: 4, steps: 60, nodes: undefined, jobs: 2 };
  const totals: Record<string, number> = {};
  for (let seed = 30; seed < 34; seed++) addTo(totals, runHere(optionsOf(seed, options)));
  const campaign = new Campaign(options);

  await campaign.run();

  expect(campaign.done).toBe(4);
  expect(campaign.totals).toEqual(totals);
  expect(campaign.failure).toBeUndefined();
}, 60_000);

test("a campaign that is stopped knows where to go on", async () => {
  const campaign = new Campaign({ from: 30, seeds: 1000, steps: 60, nodes: 3, jobs: 2 });
  const run = campaign.run();

  campaign.stop();
  await run;

  expect(campaign.next).toBe(30);
  expect(campaign.failure).toBeUndefined();
}, 60_000);
