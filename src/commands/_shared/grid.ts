/** Rows and columns for people: no frames, so that `awk` and eyes both find their way. */
import Table from "cli-table3";
import { type Output, printable, shorten } from "./output.ts";

/** Columns that the last one gets when there is no terminal to fill. */
const lastWidthDefault = 60;
const lastWidthMin = 12;
const gap = 2;

const noFrame = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: " ".repeat(gap),
};

/** Prints the rows; what is too wide in the last column is cut. Cells must already be safe for a terminal. */
export function printGrid(
  output: Output,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const table = new Table({
    chars: noFrame,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  const lastWidth = lastColumnWidth(output, head, rows);
  table.push(head.map((title) => output.style.dim(title)));
  for (const row of rows) {
    table.push(row.map((cell, i) => (i === row.length - 1 ? shorten(cell, lastWidth) : cell)));
  }
  for (const line of table.toString().split("\n")) output.line(line.trimEnd());
}

function lastColumnWidth(
  output: Output,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): number {
  if (output.columns === undefined) return lastWidthDefault;
  let used = 0;
  for (let column = 0; column < head.length - 1; column++) {
    const cells = [head, ...rows].map((row) => Bun.stringWidth(row[column] ?? ""));
    used += Math.max(...cells) + gap;
  }
  return Math.max(lastWidthMin, output.columns - used);
}

/** `name  value` lines; empty values are left out. */
export function printFields(
  output: Output,
  fields: readonly (readonly [string, string | undefined])[],
): void {
  const shown = fields.filter(([, value]) => value !== undefined && value !== "");
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  for (const [name, value] of shown) {
    output.line(`${output.style.dim(name.padEnd(width))}  ${printable(value ?? "")}`);
  }
}
