/**
 * Everything that must hold before a change lands, in the order of how fast it tells: types, lint and format, unused code,
 * the build of the executable, all tests. Every step runs even when an earlier one failed, so one run shows all there is
 * to mend. The last line is the sum of the tests; the exit code is 0 only when every step passed.
 */
import { spawn } from "bun";

interface Step {
  readonly name: string;
  readonly command: readonly string[];
}

const bun = process.execPath;
const root = new URL("../", import.meta.url).pathname;

const steps: readonly Step[] = [
  { name: "types", command: [bun, "run", "--silent", "types"] },
  { name: "lint and format", command: [bun, "run", "--silent", "lint"] },
  { name: "unused code", command: [bun, "run", "--silent", "unused"] },
  { name: "build", command: [bun, "scripts/build-binaries.ts"] },
  // A shared machine may be slow for a while: a test that hangs is told from one that waits for its turn.
  { name: "tests", command: [bun, "test", "--timeout", "60000"] },
];

let testOutput = "";
const failed: string[] = [];

for (const step of steps) {
  const startedMs = performance.now();
  console.log(`\n== ${step.name}: bun ${step.command.slice(1).join(" ")}`);
  const code = await run(step);
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1);
  console.log(
    `-- ${step.name}: ${code === 0 ? "ok" : `FAILED (exit code ${code})`} in ${seconds} s`,
  );
  if (code !== 0) failed.push(step.name);
}

const passedTests = Number(/^\s*(\d+) pass$/m.exec(testOutput)?.[1] ?? 0);
const failedTests = Number(/^\s*(\d+) fail$/m.exec(testOutput)?.[1] ?? 0);
if (failed.length > 0) console.log(`\nfailed: ${failed.join(", ")}`);
console.log(`\n${passedTests} passed, ${failedTests} failed`);
process.exit(failed.length === 0 && passedTests > 0 ? 0 : 1);

/** Runs one step with its output passed on as it comes; that of the tests is also kept for the sum. */
async function run(step: Step): Promise<number> {
  const child = spawn([...step.command], {
    cwd: root,
    stdin: "ignore",
    stdout: "inherit",
    stderr: "pipe",
  });
  const decoder = new TextDecoder();
  for await (const chunk of child.stderr) {
    process.stderr.write(chunk);
    if (step.name === "tests") testOutput += decoder.decode(chunk, { stream: true });
  }
  return child.exited;
}
