/** Rules about documents: numbered rules and the tests that cite them, links, and the command lines they show. */
import { dirname, normalize } from "node:path/posix";
import type { Source } from "./tidy.ts";

/** The numbered rules that a page states: `**[J3]**`, or `**[J3] Title.**`. */
export function ruleIds(pages: readonly Source[]): ReadonlySet<string> {
  return new Set(
    pages.flatMap(({ text }) =>
      [...text.matchAll(/\*\*\[([A-Z]{1,2}\d+)\]/g)].map((match) => match[1] ?? ""),
    ),
  );
}

/** The rules that the titles of tests cite. */
export function citedIds(tests: readonly Source[]): ReadonlyMap<string, string> {
  const cited = new Map<string, string>();
  for (const { path, text } of tests) {
    for (const title of text.matchAll(
      /\b(?:test|describe)(?:\.\w+)?\(?[^"'`]{0,200}?["'`](\[[^"'`\n]*)/g,
    )) {
      for (const id of (title[1] ?? "").matchAll(/\[([A-Z]{1,2}\d+)\]/g)) {
        if (!cited.has(id[1] ?? "")) cited.set(id[1] ?? "", path);
      }
    }
  }
  return cited;
}

export function unknownCitations(
  pages: readonly Source[],
  tests: readonly Source[],
): readonly string[] {
  const known = ruleIds(pages);
  return [...citedIds(tests)]
    .filter(([id]) => !known.has(id))
    .map(([id, path]) => `${path}: cites [${id}], which no page of docs/spec states`);
}

export function untestedRules(
  pages: readonly Source[],
  tests: readonly Source[],
): readonly string[] {
  const cited = citedIds(tests);
  return [...ruleIds(pages)].filter((id) => !cited.has(id));
}

/** Links between pages, and to files, that lead nowhere. */
export function brokenLinks(
  pages: readonly Source[],
  exists: (path: string) => boolean,
): readonly string[] {
  return pages.flatMap(({ path, text }) =>
    [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)].flatMap((match) => {
      const target = match[1] ?? "";
      if (/^(?:[a-z]+:|#)/.test(target)) return [];
      const file = normalize(`${dirname(path)}/${target.replace(/#.*$/, "")}`);
      return exists(file) ? [] : [`${path}: the link to ${target} leads nowhere`];
    }),
  );
}

function withoutCode(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, "");
}

/** Lines of the shell blocks of a page, continued lines joined, comments left out. */
export function shellLines(page: Source): readonly string[] {
  return [...page.text.matchAll(/^```(?:sh|bash|shell|console)\n([\s\S]*?)^```/gm)].flatMap(
    (block) =>
      (block[1] ?? "")
        .replace(/\\\n\s*/g, " ")
        .split("\n")
        .map((line) => line.trim().replace(/^\$ /, ""))
        .filter((line) => line !== "" && !line.startsWith("#")),
  );
}

/** `npm run X` and `bun run X` that package.json does not have. */
export function unknownScripts(
  pages: readonly Source[],
  scripts: ReadonlySet<string>,
): readonly string[] {
  return pages.flatMap(({ path, text }) =>
    [...text.matchAll(/\b(?:npm|bun) run ([a-z][\w:-]*)/g)].flatMap((match) =>
      scripts.has(match[1] ?? "") ? [] : [`${path}: \`${match[0]}\` is no script of package.json`],
    ),
  );
}
