/** Colours, decided once per stream. */
import type { Sink, System } from "./system.ts";

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  cyan(text: string): string;
}

const plain = (text: string) => text;
const paint = (on: number, off: number) => (text: string) => `\x1b[${on}m${text}\x1b[${off}m`;

const noStyle: Style = {
  bold: plain,
  dim: plain,
  red: plain,
  green: plain,
  yellow: plain,
  cyan: plain,
};
const ansiStyle: Style = {
  bold: paint(1, 22),
  dim: paint(2, 22),
  red: paint(31, 39),
  green: paint(32, 39),
  yellow: paint(33, 39),
  cyan: paint(36, 39),
};

/** `--no-color` and NO_COLOR win over FORCE_COLOR, which wins over what the stream is. */
export function styleOf(sink: Sink, env: System["env"], noColorFlag: boolean): Style {
  const forced = env["FORCE_COLOR"] ?? "";
  if (noColorFlag || (env["NO_COLOR"] ?? "") !== "" || forced === "0") return noStyle;
  if (forced !== "") return ansiStyle;
  return sink.isTty && env["TERM"] !== "dumb" ? ansiStyle : noStyle;
}
