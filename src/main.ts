/** Entry point: the version at once, everything else through the table of commands. */
import { versionLine } from "./commands/_shared/build.ts";

const argv = process.argv.slice(2);

if (argv.length === 1 && argv[0] === "--version") {
  process.stdout.write(`${versionLine()}\n`);
} else {
  const { runProcess } = await import("./commands/_shared/process.ts");
  await runProcess(argv);
}
