/** "Did you mean …?" */

/** Slips that may lie between; one more in a long word, so that an ending is found. */
const distanceMax = 2;
const longWord = 9;

/** The candidate nearest to what was typed, if it is near enough to be a slip of the finger. */
export function nearest(typed: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = distanceMax + (typed.length >= longWord ? 2 : 1);
  for (const candidate of candidates) {
    const distance = editDistance(typed, candidate);
    // Two slips in a word of two or three letters make another word.
    if (distance < bestDistance && distance < candidate.length - 1) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
export function editDistance(left: string, right: string): number {
  let older: number[] = [];
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const row = [i];
    for (let j = 1; j <= right.length; j++) {
      const same = left[i - 1] === right[j - 1];
      let cost = Math.min(
        (previous[j] ?? 0) + 1,
        (row[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]) {
        cost = Math.min(cost, (older[j - 2] ?? 0) + 1);
      }
      row.push(cost);
    }
    older = previous;
    previous = row;
  }
  return previous[right.length] ?? 0;
}
