/**
 * Builds the executable: `dist/corvo` for this machine, `--target linux-arm64` for another one (repeatable, or `--all`),
 * then named `dist/corvo-TARGET`.
 *
 * Splitting keeps each command in a chunk of its own and bytecode spares the parser, which together bring the start of
 * the program down to some milliseconds. The autoload flags keep a `.env` or `bunfig.toml` in the folder where someone
 * starts `corvo` from being obeyed. Workers are entry points of their own, found by their path below `src`.
 */
import { mkdir, rename, rm } from "node:fs/promises";
import { parseArgs } from "node:util";

const targets = [
  "linux-x64",
  "linux-arm64",
  "linux-x64-musl",
  "linux-arm64-musl",
  "darwin-x64",
  "darwin-arm64",
  "windows-x64",
  "windows-arm64",
] as const;

const { values } = parseArgs({
  options: {
    target: { type: "string", multiple: true, default: [] },
    all: { type: "boolean", default: false },
  },
});

const root = new URL("../", import.meta.url).pathname;
const wanted: readonly string[] = values.all ? targets : values.target;
const unknown = wanted.filter((name) => !targets.some((target) => target === name));
if (unknown.length > 0) {
  console.error(`unknown target ${unknown.join(", ")}; there are ${targets.join(", ")}`);
  process.exit(2);
}

/** Workers are files named so; a program that starts one names it by this path. */
const workers = [...new Bun.Glob("src/store/*-worker.ts").scanSync(root)].sort();

await mkdir(`${root}dist`, { recursive: true });
if (wanted.length === 0) await build(undefined);
for (const target of wanted) await build(target);

async function build(target: string | undefined): Promise<void> {
  const suffix = target?.startsWith("windows") ? ".exe" : "";
  const outfile = `dist/corvo${target === undefined ? "" : `-${target}`}${suffix}`;
  // The source maps are embedded; their copies beside the program are thrown away with the folder.
  const folder = `dist/.build-${target ?? "here"}`;
  const built = Bun.spawn(
    [
      process.execPath,
      "build",
      "--compile",
      "--minify",
      "--splitting",
      "--bytecode",
      "--format=esm",
      "--sourcemap",
      "--no-compile-autoload-dotenv",
      "--no-compile-autoload-bunfig",
      "--root=src",
      `--define=CORVO_BUILD_COMMIT=${JSON.stringify(await commit())}`,
      ...(target === undefined ? [] : [`--target=bun-${target}`]),
      `--outfile=${folder}/corvo${suffix}`,
      "src/main.ts",
      ...workers,
    ],
    { cwd: root, stdout: "ignore", stderr: "inherit" },
  );
  if ((await built.exited) !== 0) {
    console.error(`building ${outfile} failed`);
    process.exit(1);
  }
  await rename(`${root}${folder}/corvo${suffix}`, root + outfile);
  await rm(root + folder, { recursive: true });
  console.log(outfile);
}

/** The commit, marked when the tree differs from it; a source archive has none. */
async function commit(): Promise<string> {
  const git = async (...words: string[]) => {
    const run = Bun.spawn(["git", ...words], { cwd: root, stderr: "ignore" });
    const text = (await new Response(run.stdout).text()).trim();
    return (await run.exited) === 0 ? text : undefined;
  };
  const hash = await git("rev-parse", "--short=12", "HEAD").catch(() => undefined);
  if (hash === undefined) return "no commit";
  const changes = await git("status", "--porcelain", "--untracked-files=no");
  return changes === "" ? hash : `${hash}, changed`;
}
