import { command } from "./_shared/command.ts";
import { completionScript, shells } from "./_shared/completions.ts";
import { describeTree, loadAll } from "./_shared/describe.ts";
import { BadValue } from "./_shared/readers.ts";

export default command({
  details: `Shells: ${shells.join(", ")}.`,
  examples: [
    { line: "source <(corvo completion bash)", says: "In ~/.bashrc" },
    { line: `corvo completion zsh > "\${fpath[1]}/_corvo"`, says: "Once, for zsh" },
    {
      line: "corvo completion fish > ~/.config/fish/completions/corvo.fish",
      says: "Once, for fish",
    },
    {
      line: "corvo completion powershell | Out-String | Invoke-Expression",
      says: "In the profile of PowerShell",
    },
  ],
  args: {
    shell: {
      type: "positional",
      description: "bash, zsh, fish or powershell.",
      read: (text) => {
        const shell = shells.find((name) => name === text);
        if (shell !== undefined) return shell;
        throw new BadValue(`${JSON.stringify(text)} is not one of ${shells.join(", ")}`);
      },
    },
  },
  async run(args, { system, commands }) {
    const tree = describeTree(commands, await loadAll(commands));
    system.stdout.write(completionScript(args.shell, tree));
    return undefined;
  },
});
