/**
 * The form in which texts are compared when their case does not matter. Each character has the same form wherever it
 * stands, so what occurs in a text occurs in its form too; JavaScript alone makes the last sigma of a word another one.
 */
export function foldCase(text: string): string {
  return text.toLowerCase().replaceAll("ς", "σ");
}
