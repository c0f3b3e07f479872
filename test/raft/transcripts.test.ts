import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { scoreTranscript } from "./transcripts/score.ts";

const root = join(import.meta.dir, "scenarios");
const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) =>
  name.endsWith(".txt"),
);

for (const name of files.sort()) {
  test(`the story in ${name} goes as written`, () => {
    const score = scoreTranscript(readFileSync(join(root, name), "utf8"));

    expect(score.difference).toBeUndefined();
    expect(score.unsupported).toBe(0);
  });
}
