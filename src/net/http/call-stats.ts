/** How the calls of one route went: plain numbers, added up on the path of every call and read when somebody asks. */

/** Upper bounds of the buckets, in seconds. */
export const durationBounds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class CallStats {
  readonly method: string;
  readonly route: string;
  /** Answers by status. */
  readonly answers = new Map<number, number>();
  /** Calls by duration, each in one bucket; the last is for those above all bounds. */
  readonly durations = new Float64Array(durationBounds.length + 1);
  secondsTotal = 0;

  constructor(method: string, route: string) {
    this.method = method;
    this.route = route;
  }

  note(status: number, durationMs: number): void {
    const seconds = durationMs / 1000;
    this.answers.set(status, (this.answers.get(status) ?? 0) + 1);
    this.secondsTotal += seconds;
    let bucket = 0;
    while (seconds > (durationBounds[bucket] ?? Number.POSITIVE_INFINITY)) bucket++;
    this.durations[bucket] = (this.durations[bucket] ?? 0) + 1;
  }
}
