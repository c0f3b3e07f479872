/**
 * Which errors are of one kind: the class of the error, and its first line with all that changes from one occurrence to
 * the next folded into `*` (ids, numbers, addresses). Two errors of one kind have one group; the id of the group is a
 * hash of both texts, so it is the same on every node and for as long as the folding stays what it is.
 */

export interface ErrorGroup {
  readonly id: string;
  readonly errorClass: string | undefined;
  /** The folded first line. */
  readonly error: string;
}

/** More of a line does not tell errors apart. */
const lineCharsMax = 200;

/** Tried in this order: the long and particular before the short. */
const changing: readonly RegExp[] = [
  /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi,
  // A word of letters and digits of the length of an id.
  /\b(?=[\w-]*\d)(?=[\w-]*[a-z_])[\w-]{12,}\b/gi,
  /\b0x[0-9a-f]+\b/gi,
  /\b(?=[a-f]*\d)[0-9a-f]{8,}\b/gi,
  /\d+(?:[.,:]\d+)*/g,
];

export function errorGroupOf(error: string, errorClass: string | undefined): ErrorGroup {
  const folded = foldError(error);
  return { id: hashOf(`${errorClass ?? ""}\n${folded}`), errorClass, error: folded };
}

function foldError(error: string): string {
  // Folding only shortens or keeps the length of what matters; cut before it, so that a huge line costs nothing.
  let line = (error.trimStart().split("\n", 1)[0] ?? "").slice(0, 2 * lineCharsMax).trimEnd();
  for (const pattern of changing) line = line.replace(pattern, "*");
  return line.slice(0, lineCharsMax);
}

/** 64 bits of two FNV-1a hashes with different starts. */
function hashOf(text: string): string {
  let one = 0x811c9dc5;
  let other = 0x01000193;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    one = Math.imul(one ^ code, 0x01000193);
    other = Math.imul(other ^ code, 0x85ebca6b) ^ (other >>> 13);
  }
  return `err_${hex(one)}${hex(other)}`;
}

function hex(bits: number): string {
  return (bits >>> 0).toString(16).padStart(8, "0");
}
