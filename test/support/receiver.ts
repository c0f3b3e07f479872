/** Somebody else's server: takes what is sent to it, writes it down, and answers as the test says. */
import { until } from "./cluster/cluster.ts";

export interface Received {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** The body, read as JSON. */
  readonly body: {
    readonly webhook_id: string;
    readonly event: {
      readonly seq: number;
      readonly type: string;
      readonly job_id?: string;
      readonly queue?: string;
      readonly data?: Readonly<Record<string, unknown>>;
    };
  };
}

export class Receiver implements Disposable {
  readonly calls: Received[] = [];
  /** The status of each answer. */
  answer: (call: Received) => number = () => 200;
  readonly #server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request: Request): Promise<Response> => {
      const text = await request.text();
      const { pathname, search } = new URL(request.url);
      const headers = Object.fromEntries(request.headers);
      const call = { path: pathname + search, headers, text, body: JSON.parse(text) };
      this.calls.push(call);
      return new Response(null, { status: this.answer(call) });
    },
  });

  get url(): string {
    return `http://127.0.0.1:${this.#server.port}`;
  }

  /** Calls about one job, or all of them. */
  about(jobId?: string): readonly Received[] {
    return this.calls.filter(({ body }) => jobId === undefined || body.event.job_id === jobId);
  }

  /** Resolves with the calls as soon as they are as wanted. */
  until(
    what: string,
    isWanted: (calls: readonly Received[]) => boolean,
    withinMs?: number,
  ): Promise<readonly Received[]> {
    return until(what, async () => (isWanted(this.calls) ? this.calls : undefined), withinMs);
  }

  [Symbol.dispose](): void {
    void this.#server.stop(true);
  }
}
