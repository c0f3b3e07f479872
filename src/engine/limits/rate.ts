/**
 * How many units may start in how much time. All arithmetic is in whole numbers below 2^53, so it is exact and the same on
 * every replica.
 *
 * - `token`: a bucket of `burst` tokens that refills evenly, `count` in `windowMs`. What was spent is kept as a debt in
 *   units times `windowMs`; each millisecond pays back `count` of it.
 * - `leaky`: starts are spaced evenly. The same debt, but a start needs it to be paid up to less than a millisecond.
 * - `sliding`: never more than `count` in any `windowMs`. Each start counts until a time; starts of one instance are kept
 *   in steps of a thousandth of the window, later rather than earlier, so a long window needs no more than a thousand.
 *
 * A job that needs more than there can ever be needs all there can be: it waits until nothing is spent, and runs.
 */

export const rateKinds = ["token", "sliding", "leaky"] as const;
export type RateKind = (typeof rateKinds)[number];

export interface Rate {
  readonly kind: RateKind;
  readonly count: number;
  readonly windowMs: number;
  /** Tokens that a full bucket holds; only of `token`. */
  readonly burst?: number;
}

export type Spent =
  | { readonly atMs: number; readonly debt: number }
  /** Pairs of the time until which starts count, growing, and their units. */
  | { readonly starts: readonly number[] };

const slidingSteps = 1000;

/** The earliest time, not before `nowMs`, at which so many units fit if nothing is spent until then. */
export function rateOpensAtMs(
  rate: Rate,
  spent: Spent | undefined,
  cost: number,
  nowMs: number,
): number {
  if (spent === undefined) return nowMs;
  if ("starts" in spent) {
    return slidingOpensAtMs(spent.starts, rate.count - Math.min(cost, rate.count), nowMs);
  }
  // The debt that may be left when it opens.
  const left =
    rate.kind === "leaky"
      ? rate.count - 1
      : (capacityOf(rate) - Math.min(cost, capacityOf(rate))) * rate.windowMs;
  const debt = debtAt(rate, spent, nowMs);
  return debt <= left ? nowMs : nowMs + Math.ceil((debt - left) / rate.count);
}

/** How many units fit now, one by one. */
export function freeUnits(rate: Rate, spent: Spent | undefined, nowMs: number): number {
  if (spent !== undefined && "starts" in spent) return rate.count - unitsAt(spent.starts, nowMs);
  const debt = spent === undefined ? 0 : debtAt(rate, spent, nowMs);
  if (rate.kind === "leaky") return Math.max(0, Math.ceil((rate.count - debt) / rate.windowMs));
  if (rate.kind === "sliding") return rate.count;
  return Math.max(0, Math.floor((capacityOf(rate) * rate.windowMs - debt) / rate.windowMs));
}

export function spend(rate: Rate, spent: Spent | undefined, cost: number, nowMs: number): Spent {
  if (rate.kind === "sliding") {
    const starts = spent !== undefined && "starts" in spent ? spent.starts : [];
    return { starts: addStart(rate, starts, Math.min(cost, rate.count), nowMs) };
  }
  return { atMs: nowMs, debt: debtAt(rate, spent, nowMs) + cost * rate.windowMs };
}

/** When nothing counts as spent any more. */
export function rateRestMs(rate: Rate, spent: Spent): number {
  if ("starts" in spent) return spent.starts.at(-2) ?? 0;
  return spent.atMs + Math.ceil(spent.debt / rate.count);
}

function capacityOf(rate: Rate): number {
  return rate.burst ?? rate.count;
}

function debtAt(rate: Rate, spent: Spent | undefined, nowMs: number): number {
  if (spent === undefined || "starts" in spent) return 0;
  return Math.max(0, spent.debt - (nowMs - spent.atMs) * rate.count);
}

function unitsAt(starts: readonly number[], nowMs: number): number {
  let units = 0;
  for (let i = 0; i < starts.length; i += 2) {
    if ((starts[i] ?? 0) > nowMs) units += starts[i + 1] ?? 0;
  }
  return units;
}

/** When no more than `left` units count. */
function slidingOpensAtMs(starts: readonly number[], left: number, nowMs: number): number {
  let units = unitsAt(starts, nowMs);
  let opensAtMs = nowMs;
  for (let i = 0; i < starts.length && units > left; i += 2) {
    const endMs = starts[i] ?? 0;
    if (endMs <= nowMs) continue;
    units -= starts[i + 1] ?? 0;
    opensAtMs = endMs;
  }
  return opensAtMs;
}

function addStart(rate: Rate, starts: readonly number[], cost: number, nowMs: number): number[] {
  const stepMs = Math.ceil(rate.windowMs / slidingSteps);
  const endMs = Math.ceil(nowMs / stepMs) * stepMs + rate.windowMs;
  const kept: number[] = [];
  for (let i = 0; i < starts.length; i += 2) {
    const at = starts[i] ?? 0;
    if (at > nowMs) kept.push(at, starts[i + 1] ?? 0);
  }
  if (kept.at(-2) === endMs) kept[kept.length - 1] = (kept.at(-1) ?? 0) + cost;
  else kept.push(endMs, cost);
  return kept;
}
