/** How long things took: plain numbers, added up where they happen and read when somebody asks. */
export class DurationHistogram {
  /** Upper bounds of the buckets in seconds, rising. */
  readonly bounds: readonly number[];
  /** Durations, each in one bucket; the last is for those above all bounds. */
  readonly counts: Float64Array;
  secondsTotal = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  note(durationMs: number): void {
    const seconds = durationMs / 1000;
    this.secondsTotal += seconds;
    let bucket = 0;
    while (seconds > (this.bounds[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
  }
}
