/** The page of features, made from the list that the tests run: `bun scripts/generate-features.ts`. */
import type { Chapter } from "./feature.ts";

export function describeFeatures(chapters: readonly Chapter[]): string {
  const parts = [
    "# Features",
    "",
    "Each line is proved by a story of the same name in `test/features`, which runs on one node, and on three nodes whose leader is",
    "killed in the middle. Made by `bun scripts/generate-features.ts`.",
  ];
  for (const chapter of chapters) {
    parts.push(
      "",
      `## ${chapter.title}`,
      "",
      "| feature | shown by | story |",
      "| --- | --- | --- |",
    );
    for (const { what, shows, id } of chapter.features) {
      parts.push(`| ${what} | \`${shows.replaceAll("|", "\\|")}\` | ${id} |`);
    }
    if (chapter.notOffered.length === 0) continue;
    parts.push("", "Not offered:", "");
    for (const { what, because } of chapter.notOffered) parts.push(`- **${what}**: ${because}`);
  }
  return `${parts.join("\n")}\n`;
}
