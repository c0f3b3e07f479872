import { formatDuration } from "../../base/time.ts";
import { command } from "../_shared/command.ts";
import { readDuration } from "../_shared/readers.ts";
import { subscriptionArg } from "../_shared/subscription-arg.ts";

export default command({
  examples: [
    { line: "corvo subscription renew mailer-1", says: "For as long as it was made for" },
    { line: "corvo subscription renew mailer-1 --ttl 2h", says: "For two hours from now" },
  ],
  args: {
    id: subscriptionArg,
    ttl: {
      type: "string",
      valueHint: "DURATION",
      description: "From now on. Default: as long as before.",
      read: readDuration,
    },
  },
  async run(args, { client, output, signal }) {
    const body = args.ttl === undefined ? {} : { ttl: formatDuration(args.ttl) };
    const input = { params: { id: args.id }, body };
    if (output.json) {
      output.line(await client().text("renewSubscription", input, { signal }));
      return undefined;
    }
    const { expires_at } = await client().renewSubscription(input, { signal });
    output.note(`until ${expires_at}`);
    return undefined;
  },
});
