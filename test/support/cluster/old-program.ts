/** The executable of an older commit, built in a work tree of its own that is gone afterwards. */
import { copyFileSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = new URL("../../../", import.meta.url).pathname;

export interface OldProgram extends AsyncDisposable {
  readonly path: string;
  /** What `corvo --version` says. */
  readonly version: string;
}

export async function buildOldProgram(commit: string): Promise<OldProgram> {
  const directory = mkdtempSync(join(tmpdir(), "corvo-upgrade-"));
  const tree = join(directory, "tree");
  const path = join(directory, "corvo");
  try {
    await run(["git", "worktree", "add", "--detach", "--quiet", tree, commit], root);
    try {
      // What later commits need besides does no harm to an older one.
      symlinkSync(join(root, "node_modules"), join(tree, "node_modules"));
      await run([process.execPath, "scripts/build-binaries.ts"], tree);
      copyFileSync(join(tree, "dist/corvo"), path);
    } finally {
      await run(["git", "worktree", "remove", "--force", tree], root);
    }
    const version = (await run([path, "--version"], directory)).trim();
    const dispose = async () => rmSync(directory, { recursive: true, force: true });
    return { path, version, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

async function run(command: readonly string[], cwd: string): Promise<string> {
  const child = Bun.spawn([...command], { cwd, stdout: "pipe", stderr: "pipe" });
  const [text, problem, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${problem}`);
  return text;
}
