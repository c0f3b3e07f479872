/** The table of types in `docs/reference/events.md`, made from that of the engine: `bun scripts/generate-events.ts`. */
import { type EventType, eventTable, eventTypes } from "../../src/engine/event-types.ts";

const begin = "<!-- types: made by `bun scripts/generate-events.ts` -->\n";
const end = "<!-- end of types -->";

export function withEventTable(page: string): string {
  const from = page.indexOf(begin) + begin.length;
  const to = page.indexOf(end);
  if (from < begin.length || to < from) throw new Error("the page has lost its marks");
  return `${page.slice(0, from)}\n${tables()}\n${page.slice(to)}`;
}

function tables(): string {
  const jobs = eventTypes.filter((type) => eventTable[type].of === "job");
  const queues = eventTypes.filter((type) => eventTable[type].of === "queue");
  return [
    "| type | when | state of the job after it | `data` |",
    "| --- | --- | --- | --- |",
    ...jobs.map((type) => row(type, [eventTable[type].when, eventTable[type].state])),
    "",
    "| type | when | `data` |",
    "| --- | --- | --- |",
    ...queues.map((type) => row(type, [eventTable[type].when])),
    "",
  ].join("\n");
}

function row(type: EventType, cells: readonly string[]): string {
  return `| \`${type}\` | ${[...cells, eventTable[type].data].join(" | ")} |`;
}
