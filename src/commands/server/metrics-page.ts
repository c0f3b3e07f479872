/** Series of one answer to a Prometheus server, in the order in which they are told. */
import { Counter, Gauge, type Metric, type Registry } from "prom-client";
import type { DurationHistogram } from "../../base/duration-histogram.ts";

type Labels = Readonly<Record<string, string>>;

/** A name without rows is left out: the library would tell it as a series without labels, with value 0. */
export class Page {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  gauge(name: string, help: string, rows: Iterable<readonly [Labels, number]>): void {
    const all = [...rows];
    if (all.length === 0) return;
    const labelNames = Object.keys(all[0]?.[0] ?? {});
    const gauge = new Gauge({ name, help, labelNames, registers: [this.#registry] });
    for (const [labels, value] of all) gauge.set(labels, value);
  }

  counter(name: string, help: string, rows: Iterable<readonly [Labels, number]>): void {
    const all = [...rows];
    if (all.length === 0) return;
    const labelNames = Object.keys(all[0]?.[0] ?? {});
    const counter = new Counter({ name, help, labelNames, registers: [this.#registry] });
    for (const [labels, value] of all) counter.inc(labels, value);
  }

  histogram(
    name: string,
    help: string,
    rows: readonly (readonly [Labels, DurationHistogram])[],
  ): void {
    const values = rows.flatMap(([labels, durations]) => seriesOf(name, labels, durations));
    const get = async () => ({ name, help, type: "histogram", values, aggregator: "sum" });
    this.#registry.registerMetric({ name, get } as unknown as Metric);
  }

  one(name: string, help: string, value: number): void {
    this.gauge(name, help, [[{}, value]]);
  }
}

function seriesOf(
  name: string,
  labels: Labels,
  { bounds, counts, secondsTotal }: DurationHistogram,
): { readonly metricName: string; readonly labels: Labels; readonly value: number }[] {
  let count = 0;
  const buckets = [...counts].map((added, i) => {
    count += added;
    const le = String(bounds[i] ?? "+Inf");
    return { metricName: `${name}_bucket`, labels: { ...labels, le }, value: count };
  });
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: secondsTotal },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
