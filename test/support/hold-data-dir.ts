/** A program for tests to kill: holds the data directory in argv[2] and says so. */
import { openDataDir } from "../../src/store/data-dir.ts";

const held = openDataDir(process.argv[2] ?? "");
console.log(held.storeId);
setInterval(() => held.storeId, 1000);
