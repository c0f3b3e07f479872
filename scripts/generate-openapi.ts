/** Writes `docs/reference/openapi.json` from the operations table. Run after every change of the table. */
import { openApiDocument } from "../src/net/http/openapi.ts";

const target = new URL("../docs/reference/openapi.json", import.meta.url);
await Bun.write(target, `${JSON.stringify(openApiDocument(), null, 2)}\n`);
