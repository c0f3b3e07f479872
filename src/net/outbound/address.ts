/**
 * Which addresses the server may call for others. Whoever can set a webhook chooses a URL, and the server stands inside of
 * a network whose machines trust it; so only addresses of the public internet are called, unless the operator allows more.
 *
 * The lists are those of the IANA registries of special-purpose addresses. What is not known to be public is not.
 */
import { isIPv4, isIPv6 } from "node:net";

/** An address as bytes: 4 or 16 of them. One of the forms that wrap IPv4 is what it wraps. */
export function parseAddress(text: string): readonly number[] | undefined {
  const plain = text.replace(/^\[|\]$/g, "");
  if (isIPv4(plain)) return plain.split(".").map(Number);
  const noZone = plain.replace(/%.*$/, "");
  return isIPv6(noZone) ? unwrapped(bytesOfIPv6(noZone)) : undefined;
}

function bytesOfIPv6(text: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const plain =
    dotted === null
      ? text
      : `${dotted[1]}${pair(dotted[2], dotted[3])}:${pair(dotted[4], dotted[5])}`;
  const [head = "", tail] = plain.split("::");
  const first = groupsOf(head);
  const last = groupsOf(tail ?? "");
  const gap = tail === undefined ? 0 : 8 - first.length - last.length;
  const groups = [...first, ...new Array<number>(gap).fill(0), ...last];
  return groups.flatMap((group) => [group >> 8, group & 255]);
}

function pair(high: string | undefined, low: string | undefined): string {
  return (Number(high) * 256 + Number(low)).toString(16);
}

function groupsOf(text: string): number[] {
  return text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16));
}

/** Mapped addresses, and those of the well-known prefix of translators, reach the IPv4 address inside. */
function unwrapped(bytes: readonly number[]): readonly number[] {
  const isWrapped = startsWith(bytes, mapped, 96) || startsWith(bytes, translated, 96);
  return isWrapped ? bytes.slice(12) : bytes;
}

const mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255];
const translated = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

type Range = readonly [bytes: readonly number[], bits: number];

const closedIPv4: readonly Range[] = [
  [[0], 8],
  [[10], 8],
  [[100, 64], 10],
  [[127], 8],
  [[169, 254], 16],
  [[172, 16], 12],
  [[192, 0, 0], 24],
  [[192, 0, 2], 24],
  [[192, 88, 99], 24],
  [[192, 168], 16],
  [[198, 18], 15],
  [[198, 51, 100], 24],
  [[203, 0, 113], 24],
  [[224], 4],
  [[240], 4],
];
/** Of IPv6 only this is public, without what follows: special uses, documentation, and tunnels to IPv4. */
const openIPv6: Range = [[0x20], 3];
const closedIPv6: readonly Range[] = [
  [[0x20, 0x01, 0x00], 23],
  [[0x20, 0x01, 0x0d, 0xb8], 32],
  [[0x20, 0x02], 16],
  [[0x3f, 0xff, 0x00], 20],
];

export function isPublic(address: readonly number[]): boolean {
  if (address.length === 4) return !closedIPv4.some((range) => isIn(address, range));
  return isIn(address, openIPv6) && !closedIPv6.some((range) => isIn(address, range));
}

function isIn(address: readonly number[], [bytes, bits]: Range): boolean {
  return startsWith(address, bytes, bits);
}

function startsWith(address: readonly number[], bytes: readonly number[], bits: number): boolean {
  for (let done = 0; done < bits; done += 8) {
    const shift = Math.max(0, 8 - (bits - done));
    const index = done / 8;
    if ((address[index] ?? 0) >> shift !== (bytes[index] ?? 0) >> shift) return false;
  }
  return true;
}

/** An exception that the operator makes: a range of addresses, or a host with whatever address it has. */
export type AllowRule =
  | { readonly kind: "range"; readonly bytes: readonly number[]; readonly bits: number }
  | { readonly kind: "host"; readonly host: string };

/** Undefined when the text is none. */
export function parseAllowRule(text: string): AllowRule | undefined {
  const [base = "", length, rest] = text.split("/");
  const bytes = parseAddress(base);
  if (rest !== undefined) return undefined;
  if (bytes !== undefined) {
    const bits = length === undefined ? bytes.length * 8 : Number(length);
    const fits = length === undefined || (/^\d{1,3}$/.test(length) && bits <= bytes.length * 8);
    return fits ? { kind: "range", bytes, bits } : undefined;
  }
  if (length !== undefined || !/^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$/.test(base))
    return undefined;
  // Digits and dots that are no address are a slip, not a name.
  return /^[\d.]+$/.test(base) ? undefined : { kind: "host", host: base.toLowerCase() };
}

/** May this address, to which the host name led, be called? */
export function isAllowed(
  rules: readonly AllowRule[],
  host: string,
  address: readonly number[],
): boolean {
  if (isPublic(address)) return true;
  return rules.some((rule) =>
    rule.kind === "host"
      ? rule.host === host.toLowerCase()
      : rule.bytes.length === address.length && startsWith(address, rule.bytes, rule.bits),
  );
}
