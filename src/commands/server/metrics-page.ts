/** Series of one answer to a Prometheus server, in the order in which they are told. */
import { Counter, Gauge, type Metric, type Registry } from "prom-client";

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

  /** Series of a histogram that was added up elsewhere, with the ends of their names. */
  histogram(
    name: string,
    help: string,
    rows: readonly (readonly [string, Labels, number])[],
  ): void {
    const values = rows.map(([end, labels, value]) => ({
      metricName: name + end,
      labels,
      value,
    }));
    const get = async () => ({ name, help, type: "histogram", values, aggregator: "sum" });
    this.#registry.registerMetric({ name, get } as unknown as Metric);
  }

  one(name: string, help: string, value: number): void {
    this.gauge(name, help, [[{}, value]]);
  }
}
