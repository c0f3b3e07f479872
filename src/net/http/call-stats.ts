/** How the calls of one route went: plain numbers, added up on the path of every call and read when somebody asks. */
import { DurationHistogram } from "../../base/duration-histogram.ts";

/** In seconds. */
const durationBounds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export class CallStats {
  readonly method: string;
  readonly route: string;
  /** Answers by status. */
  readonly answers = new Map<number, number>();
  readonly durations = new DurationHistogram(durationBounds);

  constructor(method: string, route: string) {
    this.method = method;
    this.route = route;
  }

  note(status: number, durationMs: number): void {
    this.answers.set(status, (this.answers.get(status) ?? 0) + 1);
    this.durations.note(durationMs);
  }
}
