/**
 * Runs every transcript under a directory and prints how each one did:
 *
 *   npm run transcripts -- DIR [--rewrite]
 *
 * With `--rewrite` the outputs in the files are replaced by those of this run, to be reviewed as a
 * diff. The exit code is 1 if any output differs from the expected one.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type Score, scoreTranscript, type Tally } from "./score.ts";

function findTranscripts(path: string): string[] {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .map((name) => join(path, name))
    .filter((name) => statSync(name).isFile())
    .sort();
}

function describeTally(name: string, { passed, total }: Tally): string {
  return `${name} ${passed}/${total}`;
}

function describeScore(score: Score): string {
  const tallies = [
    describeTally("strict", score.strict),
    describeTally("protocol", score.protocol),
    describeTally("state", score.state),
  ];
  if (score.unsupported > 0) tallies.push(`unsupported ${score.unsupported}`);
  return tallies.join("  ");
}

function main(args: readonly string[]): number {
  const rewrite = args.includes("--rewrite");
  const [path] = args.filter((arg) => !arg.startsWith("--"));
  if (path === undefined) {
    console.error("usage: npm run transcripts -- DIR [--rewrite]");
    return 2;
  }
  const sum = { strict: { passed: 0, total: 0 }, protocol: { passed: 0, total: 0 } };
  let isClean = true;
  for (const file of findTranscripts(path)) {
    const score = scoreTranscript(readFileSync(file, "utf8"));
    console.log(`${relative(path, file) || file}: ${describeScore(score)}`);
    if (rewrite) {
      writeFileSync(file, score.rewritten);
    } else if (score.difference !== undefined || score.unsupported > 0) {
      isClean = false;
      if (score.difference !== undefined) console.log(score.difference);
      const { protocolDifference } = score;
      if (protocolDifference !== undefined && protocolDifference !== score.difference) {
        console.log(`beyond log lines, ${protocolDifference}`);
      }
    }
    for (const name of ["strict", "protocol"] as const) {
      sum[name].passed += score[name].passed;
      sum[name].total += score[name].total;
    }
  }
  console.log(
    `total: ${describeTally("strict", sum.strict)}  ${describeTally("protocol", sum.protocol)}`,
  );
  return isClean ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
