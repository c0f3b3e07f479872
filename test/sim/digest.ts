/** A running hash of plain values: numbers, texts, lists and records of them. Several times faster than of their JSON. */

/** A native call costs as much as so many characters. */
const shortTextMax = 100;
/** What a value that is no number begins with: no number that occurs, and what came before is always mixed in. */
const marks = {
  text: 0x811c_9dc5,
  list: 0x2545_f491,
  record: 0x6c8e_9cf5,
  true: 0x3c6e_f372,
  false: 0x510e_527f,
  null: 0x1f83_d9ab,
  undefined: 0x5be0_cd19,
} as const;
const parts = new WeakMap<object, number>();
const float = new Float64Array(1);
const halves = new Uint32Array(float.buffer);

/** Members that are undefined count as absent, as they do in JSON. */
export function digest(bits: number, value: unknown): number {
  switch (typeof value) {
    case "number":
      if ((value | 0) === value) return mix(bits, value);
      float[0] = value;
      return mix(mix(bits, halves[0] ?? 0), halves[1] ?? 0);
    case "string":
      return digestText(bits, value);
    case "boolean":
      return mix(bits, value ? marks.true : marks.false);
    case "object":
      return value === null ? mix(bits, marks.null) : digestMembers(bits, value);
    case "undefined":
      return mix(bits, marks.undefined);
    default:
      throw new Error(`a ${typeof value} is no plain value`);
  }
}

/**
 * Of records that all have the same members, so that their names say nothing. What they consist of is never changed in
 * place, and is looked at once; `isUnchanged` tells whether that held.
 */
export function digestRow(bits: number, row: object): number {
  let mixed = bits;
  for (const name in row) {
    const member = (row as Record<string, unknown>)[name];
    const isPart = typeof member === "object" && member !== null;
    mixed = isPart ? mix(mixed, digestPart(member)) : digest(mixed, member);
  }
  return mixed;
}

export function isUnchanged(part: object): boolean {
  const known = parts.get(part);
  return known === undefined || known === digest(0, part);
}

function digestPart(part: object): number {
  const known = parts.get(part);
  if (known !== undefined) return known;
  const bits = digest(0, part);
  parts.set(part, bits);
  return bits;
}

function digestMembers(bits: number, value: object): number {
  if (Array.isArray(value)) {
    let mixed = mix(bits, marks.list ^ value.length);
    for (const item of value) mixed = digest(mixed, item);
    return mixed;
  }
  let mixed = mix(bits, marks.record);
  for (const name in value) {
    const member = (value as Record<string, unknown>)[name];
    if (member !== undefined) mixed = digest(digestText(mixed, name), member);
  }
  return mixed;
}

function digestText(bits: number, text: string): number {
  const { length } = text;
  if (length > shortTextMax) return mix(bits, Bun.hash.xxHash32(text));
  let hash = marks.text ^ length;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x0100_0193);
  return mix(bits, hash);
}

function mix(bits: number, value: number): number {
  const mixed = Math.imul(bits ^ value, 0x9e37_79b1);
  return Math.imul(mixed ^ (mixed >>> 15), 0x85eb_ca6b) >>> 0;
}
