import { printBytes } from "../_shared/print-bytes.ts";

export default printBytes("payload", [
  { line: "corvo jobs payload job_0193a1b2c3d000000000000001 > file", says: "Into a file" },
]);
