/** Writes the table of types into the page of events, between its two marks. */
import { readFileSync, writeFileSync } from "node:fs";
import { withEventTable } from "../test/support/event-page.ts";

const page = new URL("../docs/reference/events.md", import.meta.url);
writeFileSync(page, withEventTable(readFileSync(page, "utf8")));
