/** Reads what a Prometheus server is told, as one reads it: names, labels with escapes, numbers. */
import { expect } from "bun:test";

/** Values by name and labels; throws at a line that is none. */
export async function seriesOf(url: string): Promise<Map<string, number>> {
  const response = await fetch(url);
  expect(response.headers.get("content-type")).toStartWith("text/plain; version=0.0.4");
  const series = new Map<string, number>();
  for (const line of (await response.text()).split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const match = /^([a-z_]+(?:\{.*\})?) (\S+)$/.exec(line);
    if (match === null) throw new Error(`no series: ${line}`);
    series.set(match[1] ?? "", Number(match[2]));
  }
  return series;
}
