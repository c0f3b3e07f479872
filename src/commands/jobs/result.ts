import { printBytes } from "../_shared/print-bytes.ts";

export default printBytes("result", [
  { line: "corvo jobs result job_0193a1b2c3d000000000000001 > file", says: "Into a file" },
]);
