import { exitCodes } from "../../base/errors.ts";
import { command } from "../_shared/command.ts";
import { printable } from "../_shared/output.ts";
import { answerOf, type Delivery, webhookArg } from "../_shared/webhook-view.ts";

/** A little longer than the server waits for an answer. */
const waitMsMax = 12_000;
const lookMs = 100;

export default command({
  examples: [
    { line: "corvo webhook test audit", says: "Send a message that says nothing; what came back" },
  ],
  args: { id: webhookArg },
  async run(args, { client, output, signal, system }) {
    const params = { name: args.id };
    const { delivery_id } = await client().testWebhook({ params }, { signal });
    const find = async (): Promise<Delivery | undefined> => {
      const { deliveries } = await client().listDeliveries({ params }, { signal });
      return deliveries.find(({ id, state }) => id === delivery_id && state !== "waiting");
    };
    let delivery = await find();
    for (let waited = 0; delivery === undefined && waited < waitMsMax; waited += lookMs) {
      await new Promise<void>((resolve) => system.timers.after(lookMs, resolve));
      delivery = await find();
    }
    if (output.json) output.line(JSON.stringify(delivery ?? { id: delivery_id, state: "waiting" }));
    else if (delivery === undefined) output.note("no answer yet");
    else output.note(`${delivery.url}: ${printable(answerOf(delivery))}`);
    return delivery?.state === "delivered" ? undefined : exitCodes.failed;
  },
});
