/**
 * The rules of the house that no linter knows, each a function from sources to findings. A finding names the file, what
 * stands there, and what to do instead. `test/tidy.test.ts` runs them over the tree, and each over a small bad example.
 */
import { dirname, normalize } from "node:path/posix";

export interface Source {
  /** Path from the root of the repository. */
  readonly path: string;
  readonly text: string;
}

interface Layer {
  readonly folders: readonly string[];
  readonly packages: readonly string[];
}

/** What a folder of `src` may import besides itself; anything absent is forbidden. */
const layers: Readonly<Record<string, Layer>> = {
  base: { folders: [], packages: [] },
  engine: { folders: ["base"], packages: [] },
  raft: { folders: ["base"], packages: [] },
  api: { folders: ["base"], packages: ["@sinclair/typebox"] },
  store: {
    folders: ["base", "engine", "raft"],
    // A thread that works in the background gives way to the others by its priority.
    packages: ["bun:sqlite", "node:fs", "node:os", "node:path"],
  },
  replica: { folders: ["base", "engine", "raft"], packages: [] },
  service: {
    folders: ["base", "api", "engine", "replica"],
    packages: ["@sinclair/typebox", "croner"],
  },
  net: {
    folders: ["base", "api"],
    packages: ["elysia", "bun", "@sinclair/typebox", "@sinclair/typebox/compiler"],
  },
  sdk: { folders: ["base", "api"], packages: ["@sinclair/typebox"] },
  ui: { folders: ["sdk", "api", "base"], packages: [] },
  commands: {
    folders: ["base", "api", "sdk"],
    packages: [
      "bun",
      "citty",
      "consola/core",
      "@clack/prompts",
      "cli-table3",
      "node:fs",
      "node:fs/promises",
      "node:os",
      "node:path",
    ],
  },
};

/** A node finds the others by name and tries ports. */
const serverFolder = "src/commands/server/";
const serverPackages = ["node:crypto", "node:dns/promises", "node:net", "prom-client"];

/** Snapshots travel between nodes as files, under digests. */
const peerFolder = "src/net/peer/";
const peerPackages = ["node:crypto", "node:fs", "node:fs/promises", "node:path"];

/** Calls to URLs that users choose, to addresses that were judged before; and calls of nodes that wait long. */
const outboundFolder = "src/net/outbound/";
const outboundPackages = ["node:dns/promises", "node:http", "node:https", "node:net"];

/** The one place that wires real clock, disk and sockets together. */
const compositionRoot = /^src\/commands\/server(\/|\.ts$)/;
const wiredFolders = ["engine", "raft", "replica", "service", "store", "net"];

export interface Import {
  readonly specifier: string;
  /** Path from the root, for an import of a file. */
  readonly target: string | undefined;
  /** Gone once compiled. */
  readonly isType: boolean;
}

/** Everything a file imports, also types, also at run time. */
export function importsOf(source: Source): readonly Import[] {
  const code = withoutComments(source.text);
  const pattern =
    /(?:^|[;}\s])(?:import|export)\s(?:[^"';]*?\sfrom\s)?\s*"([^"]+)"|\bimport\(\s*"([^"]+)"\s*,?\s*\)/g;
  return [...code.matchAll(pattern)].map((match) => {
    const specifier = match[1] ?? match[2] ?? "";
    const target = specifier.startsWith(".")
      ? normalize(`${dirname(source.path)}/${specifier}`)
      : undefined;
    return { specifier, target, isType: /^[;}\s]*(?:import|export)\s+type\s/.test(match[0]) };
  });
}

export function forbiddenImports(sources: readonly Source[]): readonly string[] {
  return sources.flatMap((source) => {
    const folder = folderOf(source.path);
    return importsOf(source).flatMap(({ specifier, target }) =>
      isAllowed(source.path, folder, specifier, target)
        ? []
        : [`${source.path} -> ${specifier}: src/${folder} may not import this`],
    );
  });
}

function isAllowed(
  path: string,
  folder: string,
  specifier: string,
  target: string | undefined,
): boolean {
  // The entry point and the version in package.json stand above all folders.
  if (path === "src/main.ts") return target?.startsWith("src/commands/") === true;
  const layer = layers[folder];
  if (layer === undefined) return false;
  if (target === undefined) {
    const isPeer = path.startsWith(peerFolder) && peerPackages.includes(specifier);
    const isServer = path.startsWith(serverFolder) && serverPackages.includes(specifier);
    const isOutbound = path.startsWith(outboundFolder) && outboundPackages.includes(specifier);
    return isPeer || isServer || isOutbound || layer.packages.includes(specifier);
  }
  if (target === "package.json") return path === "src/commands/_shared/build.ts";
  const other = folderOf(target);
  if (other === folder || layer.folders.includes(other)) return true;
  if (folder === "net" && target === "src/raft/message.ts") return true;
  return compositionRoot.test(path) && wiredFolders.includes(other);
}

function folderOf(path: string): string {
  return path.split("/")[1] ?? "";
}

/** Files that load each other around a ring, one finding per ring. Types may refer to each other. */
export function importCycles(sources: readonly Source[]): readonly string[] {
  const edges = new Map(
    sources.map((source) => [
      source.path,
      importsOf(source).flatMap(({ target, isType }) =>
        target === undefined || isType ? [] : [target],
      ),
    ]),
  );
  const findings = new Set<string>();
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at !== -1) {
      const ring = trail.slice(at);
      const first = ring.indexOf([...ring].sort()[0] ?? path);
      const turned = [...ring.slice(first), ...ring.slice(0, first)];
      findings.add(`${[...turned, turned[0]].join(" -> ")}: a cycle; move what both need down`);
      return;
    }
    if (finished.has(path)) return;
    for (const next of edges.get(path) ?? []) visit(next, [...trail, path]);
    finished.add(path);
  };
  for (const path of edges.keys()) visit(path, []);
  return [...findings];
}

/** Files of `src` that the program never loads: reachable from no root. */
export function unreachableFiles(
  sources: readonly Source[],
  isRoot: (path: string) => boolean,
): readonly string[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const reached = new Set<string>();
  const queue = sources.map(({ path }) => path).filter(isRoot);
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    const source = byPath.get(path);
    if (source === undefined || reached.has(path)) continue;
    reached.add(path);
    for (const { target } of importsOf(source)) if (target !== undefined) queue.push(target);
  }
  return sources
    .filter(({ path }) => !reached.has(path))
    .map(({ path }) => `${path}: nothing that runs imports it; wire it in or delete it`);
}

interface Ban {
  readonly pattern: RegExp;
  readonly instead: string;
  /** Where it is meant. */
  readonly where: RegExp;
  /** Files that may. */
  readonly except?: RegExp;
  readonly inComments?: true;
}

const everywhere = /\.ts$/;

/** Load generators live in real time, and on real chance. */
const measures = /^src\/commands\/bench\//;
/** The real clock, Workers (which have no ports), and load generators. */
const keepsTime =
  /^src\/(?:commands\/_shared\/system\.ts$|store\/[a-z-]+-worker\.ts$|commands\/bench\/)/;

const bans: readonly Ban[] = [
  {
    pattern: /\bMath\.random\b/,
    instead: "take a `Random` port, or the seed of the batch",
    where: /^src\//,
    except: measures,
  },
  {
    pattern: /\b(?:Date\.now|performance\.now)\b|\bnew Date\(\)/,
    instead: "take a `Clock` port, or the time of the batch",
    where: /^src\//,
    except: keepsTime,
  },
  {
    pattern: /\bset(?:Timeout|Interval)\(/,
    instead: "take a `Timers` port",
    where: /^src\//,
    except: keepsTime,
  },
  {
    pattern: /\bconsole\.\w+\(/,
    instead: "write through `Output` or a `Logger`",
    where: /^src\/|^test\/.*\.test\.ts$/,
  },
  {
    pattern: /\bprocess\.env\b/,
    instead: "read the environment in `src/commands/_shared/system.ts` only",
    where: /^src\//,
    except: /^src\/commands\/_shared\/system\.ts$/,
  },
  {
    pattern: new RegExp(`\\b(?:${["TO", "FIX"].join("DO|")}ME|X{3}|HA${"CK"})\\b`),
    instead: "do it now, or write down where it is tracked",
    where: everywhere,
    inComments: true,
  },
  {
    pattern: /\bas any\b|<any>|: any\b/,
    instead: "`unknown` and a check",
    where: everywhere,
  },
  {
    pattern: /[\w)\]]!(?:\.|\[|;|,|\))/,
    instead: "`must(value, reason)`",
    where: everywhere,
  },
  {
    pattern: /@ts-(?:ignore|nocheck|expect-error)|\bbiome-ignore-all\b/,
    instead: "types that say what is meant",
    where: everywhere,
    inComments: true,
  },
  {
    pattern: /\b(?:test|it|describe)\.(?:skip|only|todo|failing)\b/,
    instead: "a test that runs",
    where: /^test\//,
  },
  {
    pattern: /\bmock\.module\(|\bspyOn\(/,
    instead: "a port with a twin in memory",
    where: /^test\//,
  },
  {
    pattern: /\benum\s+\w+\s*\{|\bnamespace\s+\w+\s*\{/,
    instead: "a union of string literals",
    where: everywhere,
  },
];

export function bannedText(sources: readonly Source[]): readonly string[] {
  return sources.flatMap(({ path, text }) => {
    const relevant = bans.filter((ban) => ban.where.test(path) && ban.except?.test(path) !== true);
    return text.split("\n").flatMap((line, index) =>
      relevant.flatMap(({ pattern, instead, inComments }) => {
        const bare = withoutStrings(line);
        const isComment = /^\s*(?:\/\*|\*|\/\/)/.test(bare);
        const found =
          isComment && inComments !== true
            ? null
            : pattern.exec(bare.replace(/\s\/\/ .*$/, inComments ? "$&" : ""));
        return found === null
          ? []
          : [`${path}:${index + 1}: \`${found[0]}\` is not used here; instead: ${instead}`];
      }),
    );
  });
}

const linesMax = 500;
const headerFromLines = 80;

export function shapeOfFiles(sources: readonly Source[]): readonly string[] {
  return sources.flatMap(({ path, text }) => {
    const findings: string[] = [];
    const lines = text.split("\n").length - 1;
    if (lines > linesMax) findings.push(`${path}: ${lines} lines; at most ${linesMax}: split it`);
    if (path.startsWith("src/") && lines > headerFromLines && !hasHeader(text)) {
      findings.push(
        `${path}: ${lines} lines and no header; begin with what it owns, its invariants, and why it exists`,
      );
    }
    if (/(?:^|[/-])(?:utils?|helpers?|common|manager|misc)(?:[/.-]|$)/.test(path)) {
      findings.push(`${path}: the name says nothing; name what it does`);
    }
    return findings;
  });
}

/** A comment at the top, or after the imports before the first code. */
function hasHeader(text: string): boolean {
  const start = text.replace(/^(?:import[^;]*;\s*)+/, "");
  return text.startsWith("/**") || text.startsWith("//") || start.startsWith("/**");
}

/** Comments taken out, strings kept: an import in an example is no import. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
}

/** Strings and regular expressions emptied, so that texts about a thing are not the thing. */
function withoutStrings(line: string): string {
  return line
    .replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`/g, '""')
    .replace(/(^|[(=,:\s])\/(?![/*])(?:[^/\\\n[]|\\.|\[(?:[^\]\\]|\\.)*\])+\/[a-z]*/g, "$1/ /");
}
