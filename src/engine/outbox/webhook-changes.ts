/** Webhooks as operators set them. */

import type { Core } from "../core.ts";
import { engineLimits } from "../limits.ts";
import { type Outcome, reject } from "../outcome.ts";
import type { ControlWebhook, SetWebhook, TestWebhook } from "./changes.ts";
import { addDelivery } from "./deliveries.ts";
import { noStats } from "./webhook.ts";

/** Makes a webhook, or gives it other settings; its secret stays when none is given. Enabled anew, it begins afresh. */
export function setWebhook(core: Core, { id, spec, secret }: SetWebhook): Outcome {
  const { outbox, nowMs } = core;
  const known = outbox.webhook(id);
  if (known === undefined && outbox.webhookCount >= engineLimits.webhooksMax) {
    return reject(
      "LIMIT_EXCEEDED",
      `webhook "${id}" would be one more than ${engineLimits.webhooksMax} (webhooksMax)`,
    );
  }
  outbox.putWebhook({
    id,
    ...{ tags: undefined, ...spec },
    secret: secret ?? known?.secret ?? "",
    paused: known?.paused ?? false,
    disabledBecause: undefined,
    createdAtMs: known?.createdAtMs ?? nowMs,
    updatedAtMs: nowMs,
  });
  if (known?.enabled === false && spec.enabled) forgetFailures(core, id);
  core.effects.webhooksChanged = true;
  return { kind: "ok" };
}

/** Pausing keeps what comes and sends nothing; enabling ends a pause and a disabling, and forgets failures. */
export function controlWebhook(core: Core, { id, action }: ControlWebhook): Outcome {
  const { outbox, nowMs } = core;
  const known = outbox.webhook(id);
  if (known === undefined) return unknown(id);
  core.effects.webhooksChanged = true;
  if (action === "delete") {
    outbox.removeWebhook(id);
    return { kind: "ok" };
  }
  if (action === "pause") outbox.putWebhook({ ...known, paused: true, updatedAtMs: nowMs });
  else {
    const free = { enabled: true, paused: false, disabledBecause: undefined };
    outbox.putWebhook({ ...known, ...free, updatedAtMs: nowMs });
    forgetFailures(core, id);
  }
  return { kind: "ok" };
}

/** A delivery that says no more than that it is one. */
export function testWebhook(core: Core, { id }: TestWebhook): Outcome {
  const { outbox, nowMs } = core;
  if (outbox.webhook(id) === undefined) return unknown(id);
  if (outbox.waitingOf(id) >= engineLimits.webhookWaitingMax) {
    return reject(
      "OVERLOADED",
      `${outbox.waitingOf(id)} deliveries wait for webhook "${id}" (webhookWaitingMax)`,
    );
  }
  const event = {
    ...{ number: 0, type: "test", seq: 0, jobCreatedAtMs: 0, queue: "", atMs: nowMs },
    ...{ data: undefined, dataOmitted: false, trace: undefined },
  };
  const { number, createdAtMs } = addDelivery(core, event, { webhook: id, isTest: true });
  return { kind: "delivery", number, createdAtMs };
}

function forgetFailures({ outbox }: Core, id: string): void {
  const { failures, failingSinceMs } = noStats;
  outbox.noteStats(id, { failures, failingSinceMs });
}

function unknown(id: string): Outcome {
  return reject("NOT_FOUND", `no webhook "${id}"`);
}
