import { command } from "../_shared/command.ts";
import { printGrid } from "../_shared/grid.ts";
import { printable } from "../_shared/output.ts";
import { lastOf, modeOf } from "../_shared/webhook-view.ts";

export default command({
  examples: [{ line: "corvo webhook list", says: "All of them, and how their deliveries went" }],
  args: {},
  async run(_args, { client, output, signal }) {
    if (output.json) {
      output.line(await client().text("listWebhooks", {}, { signal }));
      return undefined;
    }
    const webhooks = await client().listWebhooks({}, { signal });
    if (output.quiet) {
      for (const { id } of webhooks) output.line(id);
      return undefined;
    }
    if (webhooks.length === 0) {
      output.note("no webhook; `corvo webhook set` makes one");
      return undefined;
    }
    printGrid(
      output,
      ["WEBHOOK", "MODE", "WAITING", "DELIVERED", "FAILED", "MISSED", "URL", "LAST"],
      webhooks.map((webhook) => [
        webhook.id,
        modeOf(webhook),
        ...[webhook.waiting, webhook.delivered, webhook.failed, webhook.missed].map(String),
        printable(webhook.url),
        printable(webhook.disabled_reason ?? lastOf(webhook)),
      ]),
    );
    return undefined;
  },
});
