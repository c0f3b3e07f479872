/** Writes `docs/reference/cli.md` from the help of every command. Run it after a change of commands or flags; a test compares. */
import { exitCodes } from "../src/base/errors.ts";
import { styleOf } from "../src/commands/_shared/colors.ts";
import { loadAll } from "../src/commands/_shared/describe.ts";
import { commandHelp, groupHelp } from "../src/commands/_shared/help.ts";
import { commandsBelow, type Group, isGroup } from "../src/commands/_shared/table.ts";
import { aliases, commands } from "../src/commands/index.ts";

const style = styleOf({ isTty: false, columns: 100, write: () => undefined }, {}, true);

/** What each exit code means to a script. */
const exitMeanings: Record<keyof typeof exitCodes, string> = {
  ok: "done",
  failed: "not done, or answered with no",
  usage: "the command line, or what it sent, was wrong; nothing was done",
  notFound: "no such job, queue or other thing",
  forbidden: "the key is missing or not allowed to do this",
  conflict: "the state of things does not allow it",
  unavailable: "no server there, or the time was over",
  partial: "done for some, not for all",
  bug: "a fault in corvo",
  interrupted: "Ctrl-C",
};

export async function cliReference(): Promise<string> {
  const parts = [
    "# Command line",
    "Made by `scripts/generate-cli-reference.ts` from the commands themselves; do not edit.",
    "Data goes to stdout, everything else to stderr. `--json` prints the answer of the server unchanged. Colours are for terminals; `NO_COLOR`, `FORCE_COLOR` and `TERM=dumb` are respected. Questions are only asked at a terminal; a script says `--yes`.",
    "## Exit codes",
    table(
      ["code", "meaning"],
      Object.entries(exitMeanings).map(([name, meaning]) => [
        String(exitCodes[name as keyof typeof exitCodes]),
        meaning,
      ]),
    ),
    "## Environment",
    table(
      ["variable", "meaning"],
      [
        [
          "`CORVO_SERVER`",
          "address of the server, or of several nodes of a cluster with commas between them, when `--server` is not given",
        ],
        ["`CORVO_API_KEY`", "key for the server, when `--api-key` is not given"],
        [
          "`CORVO_CLUSTER_SECRET`",
          "secret of the cluster, for `corvo server` and `corvo cluster token`, when `--cluster-secret` is not given",
        ],
        ["`CORVO_JOIN_TOKEN`", "join token for `corvo server`, when `--token` is not given"],
      ],
    ),
    "## Names of 0.3",
    table(
      ["name", "stands for"],
      Object.entries(aliases).map(([name, path]) => [
        `\`corvo ${name}\``,
        `\`corvo ${path.join(" ")}\``,
      ]),
    ),
    ...(await chapters(commands, [])),
  ];
  return `${parts.join("\n\n")}\n`;
}

async function chapters(group: Group, path: readonly string[]): Promise<readonly string[]> {
  const loaded = await loadAll(group, path);
  const parts = [chapter(path, groupHelp(path, group, style))];
  for (const [name, entry] of Object.entries(group.commands)) {
    const inner = [...path, name];
    if (isGroup(entry)) {
      parts.push(...(await chapters(entry, inner)));
      continue;
    }
    const spec = loaded.find((one) => one.path.join(" ") === inner.join(" "))?.spec;
    if (spec !== undefined) parts.push(chapter(inner, commandHelp(inner, entry, spec, style)));
    for (const [below, leaf] of Object.entries(commandsBelow(entry))) {
      const found = loaded.find((one) => one.path.join(" ") === [...inner, below].join(" "));
      if (found === undefined) continue;
      parts.push(chapter(found.path, commandHelp(found.path, leaf, found.spec, style)));
    }
  }
  return parts;
}

function chapter(path: readonly string[], help: string): string {
  return `## ${["corvo", ...path].join(" ")}\n\n\`\`\`text\n${help.trimEnd()}\n\`\`\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

if (import.meta.main) {
  await Bun.write(new URL("../docs/reference/cli.md", import.meta.url), await cliReference());
}
