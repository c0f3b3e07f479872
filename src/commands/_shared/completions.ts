/**
 * Completion scripts, written from the described tree and nothing else: they complete commands, flags and fixed values
 * without starting `corvo`. Each shell keeps a table from the path of a command to its words.
 */
import type { CommandDescription, FlagDescription } from "./describe.ts";

export const shells = ["bash", "zsh", "fish", "powershell"] as const;
export type Shell = (typeof shells)[number];

/** Name of the file in `completions/`. */
export const completionFiles: Record<Shell, string> = {
  bash: "corvo.bash",
  zsh: "_corvo",
  fish: "corvo.fish",
  powershell: "corvo.ps1",
};

const notice = "Made by scripts/generate-completions.ts from the table of commands; do not edit.";

export function completionScript(shell: Shell, tree: readonly CommandDescription[]): string {
  switch (shell) {
    case "bash":
      return bash(tree);
    case "zsh":
      return zsh(tree);
    case "fish":
      return fish(tree);
    case "powershell":
      return powershell(tree);
  }
}

/** Groups of which a word may be the next word of the path: `jobs list` after `jobs`. */
function pathsOf(tree: readonly CommandDescription[]): readonly string[] {
  return tree.filter((one) => one.path.length > 0).map((one) => one.path.join(" "));
}

function valueFlags(tree: readonly CommandDescription[]): readonly string[] {
  const names = tree
    .flatMap((one) => one.flags.filter((flag) => flag.takesValue))
    .flatMap((flag) => flag.names);
  return [...new Set(names)];
}

function fixedValues(
  tree: readonly CommandDescription[],
): readonly (readonly [string, FlagDescription])[] {
  return tree.flatMap((one) =>
    one.flags
      .filter((flag) => flag.values.length > 0)
      .flatMap((flag) =>
        flag.names.map((name) => [`${one.path.join(" ")}|${name}`, flag] as const),
      ),
  );
}

function fileFlags(tree: readonly CommandDescription[]): readonly string[] {
  return tree.flatMap((one) =>
    one.flags
      .filter((flag) => flag.takesFile)
      .flatMap((flag) => flag.names.map((name) => `${one.path.join(" ")}|${name}`)),
  );
}

/** Single quotes of POSIX shells and of zsh. */
const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
/** Fish knows `\'` inside single quotes. */
const fishQuoted = (text: string) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
const powershellQuoted = (text: string) => `'${text.replaceAll("'", "''")}'`;

function longNames(one: CommandDescription): readonly string[] {
  return one.flags.map(mainName);
}

/** Older spellings are accepted, and not offered. */
function mainName(flag: FlagDescription): string {
  return flag.names.find((name) => name.startsWith("--")) ?? "";
}

function bash(tree: readonly CommandDescription[]): string {
  const words = tree.map(
    (one) =>
      `    ${quoted(one.path.join(" "))}) words=${quoted(one.subcommands.map((sub) => sub.name).join(" "))}; flags=${quoted(longNames(one).join(" "))} ;;`,
  );
  const values = fixedValues(tree).map(
    ([key, flag]) => `    ${quoted(key)}) values=${quoted(flag.values.join(" "))} ;;`,
  );
  const files = fileFlags(tree).map(quoted).join("|");
  return `# ${notice}
_corvo() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]}
  local path='' words='' flags='' values='' word skip='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ -n $skip ]]; then [[ $word == '=' ]] && continue; skip=''; continue; fi
    case $word in
      --) return ;;
      ${valueFlags(tree).join("|")}) skip=1; continue ;;
      -*) continue ;;
    esac
    case "\${path:+$path }$word" in
      ${pathsOf(tree).map(quoted).join("|")}) path="\${path:+$path }$word" ;;
    esac
  done
  if [[ $current == '=' ]]; then current=''; elif [[ $previous == '=' ]]; then previous=\${COMP_WORDS[COMP_CWORD-2]}; fi
  case "$path|$previous" in
${values.join("\n")}
    ${files === "" ? "''" : files}) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  if [[ -n $values ]]; then
    COMPREPLY=($(compgen -W "$values" -- "$current"))
    return
  fi
  case "$path" in
${words.join("\n")}
  esac
  if [[ $current == -* ]]; then COMPREPLY=($(compgen -W "$flags" -- "$current"))
  elif [[ -n $words ]]; then COMPREPLY=($(compgen -W "$words" -- "$current"))
  elif [[ $current == @* ]]; then COMPREPLY=($(compgen -P @ -f -- "\${current#@}"))
  fi
}
complete -F _corvo corvo
`;
}

function zsh(tree: readonly CommandDescription[]): string {
  const described = (name: string, text: string) =>
    quoted(`${name.replaceAll(":", "\\:")}:${text}`);
  const cases = tree.map((one) => {
    const subs = one.subcommands.map((sub) => described(sub.name, sub.summary));
    const flags = one.flags.map((flag) => described(mainName(flag), flag.description));
    return `    ${quoted(one.path.join(" "))})
      words_here=(${subs.join(" ")})
      flags=(
        ${flags.join("\n        ")}
      ) ;;`;
  });
  const values = fixedValues(tree).map(
    ([key, flag]) => `    ${quoted(key)}) compadd -- ${flag.values.join(" ")}; return ;;`,
  );
  const files = fileFlags(tree).map(quoted).join("|");
  return `#compdef corvo
# ${notice}
_corvo() {
  local -a words_here flags
  local here='' word skip='' i current=$words[CURRENT] previous=$words[CURRENT-1]
  for ((i = 2; i < CURRENT; i++)); do
    word=$words[i]
    if [[ -n $skip ]]; then skip=''; continue; fi
    case $word in
      --) _default; return ;;
      ${valueFlags(tree).join("|")}) skip=1; continue ;;
      -*) continue ;;
    esac
    case "\${here:+$here }$word" in
      ${pathsOf(tree).map(quoted).join("|")}) here="\${here:+$here }$word" ;;
    esac
  done
  if [[ $current == --*=* ]]; then previous=\${current%%=*}; compset -P '*='; current=\${current#*=}; fi
  case "$here|$previous" in
${values.join("\n")}
    ${files === "" ? "''" : files}) _files; return ;;
  esac
  case "$here" in
${cases.join("\n")}
  esac
  if [[ $current == -* ]]; then _describe -o flag flags
  elif (( \${#words_here} )); then _describe command words_here
  else _default
  fi
}
if [[ $funcstack[1] == _corvo ]]; then _corvo "$@"; else compdef _corvo corvo; fi
`;
}

function fish(tree: readonly CommandDescription[]): string {
  const lines = tree.flatMap((one) => {
    const when = `-n ${fishQuoted(`__corvo_at ${fishQuoted(one.path.join(" "))}`)}`;
    const subs = one.subcommands.map(
      (sub) => `complete -c corvo -f ${when} -a ${sub.name} -d ${fishQuoted(sub.summary)}`,
    );
    return [...subs, ...one.flags.map((flag) => fishFlag(when, flag))];
  });
  return `# ${notice}
function __corvo_path
    set -l path
    set -l skip 0
    set -l words (commandline -opc)
    for word in $words[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case --
                break
            case ${valueFlags(tree).join(" ")}
                set skip 1
                continue
            case '-*'
                continue
        end
        set -l longer (string join ' ' $path $word)
        if contains -- $longer ${pathsOf(tree).map(fishQuoted).join(" ")}
            set path $path $word
        end
    end
    string join ' ' $path
end
function __corvo_at
    test (__corvo_path | string collect --allow-empty) = "$argv[1]"
end
${lines.join("\n")}
`;
}

function fishFlag(when: string, flag: FlagDescription): string {
  const names = flag.names.map((name) =>
    name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`,
  );
  const value = !flag.takesValue
    ? ""
    : flag.values.length > 0
      ? ` -x -a ${fishQuoted(flag.values.join(" "))}`
      : flag.takesFile
        ? " -r -F"
        : " -x";
  return `complete -c corvo ${when} ${names.join(" ")}${value} -d ${fishQuoted(flag.description)}`;
}

function powershell(tree: readonly CommandDescription[]): string {
  const pair = (name: string, text: string) =>
    `@(${powershellQuoted(name)}, ${powershellQuoted(text)})`;
  const entries = tree.map((one) => {
    const subs = one.subcommands.map((sub) => pair(sub.name, sub.summary));
    const flags = one.flags.map((flag) => pair(mainName(flag), flag.description));
    return `  ${powershellQuoted(one.path.join(" "))} = @{
    Words = @(${subs.map((sub) => `,${sub}`).join("; ")})
    Flags = @(${flags.map((flag) => `,${flag}`).join("; ")})
  }`;
  });
  const values = fixedValues(tree).map(
    ([key, flag]) =>
      `  ${powershellQuoted(key)} = @(${flag.values.map(powershellQuoted).join(", ")})`,
  );
  return `# ${notice}
$corvoTree = @{
${entries.join("\n")}
}
$corvoValues = @{
${values.join("\n")}
}
$corvoValueFlags = @(${valueFlags(tree).map(powershellQuoted).join(", ")})
Register-ArgumentCompleter -Native -CommandName corvo -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $path = ''; $previous = ''; $skip = $false
  foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
    if ($element.Extent.EndOffset -ge $cursorPosition) { break }
    $word = $element.ToString(); $previous = $word
    if ($skip) { $skip = $false; continue }
    if ($corvoValueFlags -contains $word) { $skip = $true; continue }
    if ($word.StartsWith('-')) { continue }
    $longer = ($path + ' ' + $word).Trim()
    if ($corvoTree.ContainsKey($longer)) { $path = $longer }
  }
  $key = $path + '|' + $previous
  if ($corvoValues.ContainsKey($key)) {
    $corvoValues[$key] | Where-Object { $_ -like "$wordToComplete*" } |
      ForEach-Object { [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_) }
    return
  }
  $found = if ($wordToComplete.StartsWith('-')) { $corvoTree[$path].Flags } else { $corvoTree[$path].Words }
  $found | Where-Object { $_ -and $_[0] -like "$wordToComplete*" } |
    ForEach-Object { [System.Management.Automation.CompletionResult]::new($_[0], $_[0], 'ParameterName', $_[1]) }
}
`;
}
