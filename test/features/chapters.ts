/** The whole list, in the order of the page. */
import { administration } from "./administration.ts";
import { admission } from "./admission.ts";
import { delivery } from "./delivery.ts";
import { events } from "./events.ts";
import type { Chapter } from "./feature.ts";
import { finding } from "./finding.ts";
import { flow } from "./flow.ts";
import { foreign } from "./foreign.ts";
import { foundations } from "./foundations.ts";
import { limits } from "./limits.ts";
import { payloads } from "./payloads.ts";
import { schedules } from "./schedules.ts";
import { streaming } from "./streaming.ts";
import { submitting } from "./submitting.ts";
import { webhooks } from "./webhooks.ts";
import { workers } from "./workers.ts";

export const chapters: readonly Chapter[] = [
  submitting,
  payloads,
  flow,
  schedules,
  limits,
  admission,
  delivery,
  streaming,
  finding,
  events,
  webhooks,
  workers,
  administration,
  foreign,
  foundations,
];
