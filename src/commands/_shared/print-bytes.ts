/** `corvo jobs payload` and `corvo jobs result`: the value alone on standard output, byte for byte. */
import { CorvoError } from "../../base/errors.ts";
import { piecesOf } from "../../sdk/errors.ts";
import { connectBytes } from "./client.ts";
import { command, type Example } from "./command.ts";

export function printBytes(name: "payload" | "result", examples: readonly Example[]) {
  return command({
    details: `Writes the bytes as they were sent, without a line break after them. With --json it says what they are instead.`,
    examples,
    args: {
      id: { type: "positional", required: true, description: "Id of the job." },
    },
    async run(args, context) {
      const { globals, output, signal, system } = context;
      const answer = await connectBytes(context)[name](args.id, signal);
      const type = answer.headers.get("content-type") ?? "";
      if (answer.body === null) {
        throw new CorvoError("INTERNAL_ERROR", "the server sent an answer without a body");
      }
      let bytes = 0;
      for await (const piece of piecesOf(answer.body, globals.server, signal)) {
        bytes += piece.length;
        if (!output.json) await system.writeBytes(piece);
      }
      if (output.json) {
        output.line(JSON.stringify({ job_id: args.id, content_type: type, bytes }));
      }
    },
  });
}
