/** A program for tests to kill: holds the data directory in argv[2] and says so. */
import { openDataDir } from "../../src/store/data-dir.ts";

const held = openDataDir(process.argv[2] ?? "");
process.stdout.write(`${held.storeId}\n`);
setInterval(() => held.storeId, 1000);
