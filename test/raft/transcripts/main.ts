/**
 * Runs every transcript under a directory and prints how each one did:
 *
 *   npm run transcripts -- PATH [--level strict|protocol|state] [--rewrite]
 *
 * A file is a transcript if its name ends in .txt and it has an expected output; others are counted
 * and left alone, so that a whole repository can be named. The exit code is 1 if an output differs at
 * the level, which is strict unless said otherwise, or a directive is unknown, and 2 if there is
 * nothing to run. With `--rewrite` the outputs in the files are replaced by those of this run, to be
 * reviewed as a diff.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { isTranscript } from "./parse.ts";
import { type Level, levels, type Score, scoreTranscript, type Tally } from "./score.ts";

interface Options {
  readonly path: string;
  readonly level: Level;
  readonly rewrite: boolean;
}

interface Found {
  readonly name: string;
  readonly file: string;
  readonly text: string;
}

const usage = `usage: npm run transcripts -- PATH [--level ${levels.join("|")}] [--rewrite]`;

function parseOptions(args: readonly string[]): Options | undefined {
  let path: string | undefined;
  let level: Level | undefined = "strict";
  let rewrite = false;
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? "";
    if (arg === "--rewrite") {
      rewrite = true;
    } else if (arg === "--level") {
      at += 1;
      level = levels.find((name) => name === args[at]);
    } else if (path === undefined && !arg.startsWith("--")) {
      path = arg;
    } else {
      return undefined;
    }
  }
  return path === undefined || level === undefined ? undefined : { path, level, rewrite };
}

/** The text files at or under a path. What others put into a repository is not looked at. */
function findTexts(path: string): string[] {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".txt") && !/(^|\/)(\.|node_modules\/|vendor\/)/.test(name))
    .map((name) => join(path, name))
    .filter((file) => statSync(file).isFile())
    .sort();
}

function describeTally(name: string, { passed, total }: Tally): string {
  return `${name} ${passed}/${total}`;
}

function describeScore(score: Pick<Score, "tallies" | "unsupported">): string {
  const tallies = levels.map((level) => describeTally(level, score.tallies[level]));
  if (score.unsupported > 0) tallies.push(`unsupported ${score.unsupported}`);
  return tallies.join("  ");
}

function describeDifferences({ difference, protocolDifference }: Score): string[] {
  if (difference === undefined) return [];
  if (protocolDifference === undefined || protocolDifference === difference) return [difference];
  return [difference, `beyond log lines, ${protocolDifference}`];
}

function sumOf(scores: readonly Score[]): Pick<Score, "tallies" | "unsupported"> {
  const add = (level: Level) => ({
    passed: scores.reduce((sum, { tallies }) => sum + tallies[level].passed, 0),
    total: scores.reduce((sum, { tallies }) => sum + tallies[level].total, 0),
  });
  return {
    tallies: { strict: add("strict"), protocol: add("protocol"), state: add("state") },
    unsupported: scores.reduce((sum, score) => sum + score.unsupported, 0),
  };
}

function run(found: Found, rewrite: boolean): Score {
  const score = scoreTranscript(found.text);
  console.log(`${found.name}: ${describeScore(score)}`);
  if (rewrite) writeFileSync(found.file, score.rewritten);
  else for (const text of describeDifferences(score)) console.log(text);
  return score;
}

function main(args: readonly string[]): number {
  const options = parseOptions(args);
  if (options === undefined) {
    console.error(usage);
    return 2;
  }
  const { path, level, rewrite } = options;
  const texts = findTexts(path).map((file) => {
    return { name: relative(path, file) || file, file, text: readFileSync(file, "utf8") };
  });
  const transcripts = texts.filter(({ text }) => isTranscript(text));
  if (transcripts.length === 0) {
    console.error(`no transcripts among ${texts.length} .txt files in ${path}; name their folder`);
    return 2;
  }
  const scores = transcripts.map((found) => run(found, rewrite));
  const sum = sumOf(scores);
  const others = texts.length - transcripts.length;
  const left = others === 0 ? "" : `  (${others} other .txt files)`;
  console.log(`total of ${scores.length} files: ${describeScore(sum)}${left}`);
  const { passed, total } = sum.tallies[level];
  return rewrite || (passed === total && sum.unsupported === 0) ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
