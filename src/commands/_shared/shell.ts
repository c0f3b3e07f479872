/** Words as a POSIX shell needs them. */

export function shellQuote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The line again, for a person to copy; a key that was typed on it is not repeated. */
export function repeatableLine(argv: readonly string[]): string {
  const words = argv.map((word, index) => {
    if (argv[index - 1] === "--api-key") return '"$CORVO_API_KEY"';
    return word.startsWith("--api-key=") ? '--api-key="$CORVO_API_KEY"' : shellQuote(word);
  });
  return ["corvo", ...words].join(" ");
}
