/** Handlers of calls from outside that become jobs. */
import { requestLimits as limits } from "../api/limits.ts";
import type { InputOf, ResultOf } from "../api/operation.ts";
import { type Handlers, type Operations, Reply } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import { parseJson, RawJson } from "../base/json.ts";
import { formatTime } from "../base/time.ts";
import type { IncomingSettings, IncomingSpec } from "../engine/incoming.ts";
import { type IncomingCall, idHeaders, verifyCall } from "./incoming-signature.ts";
import { toNewJob } from "./new-job.ts";
import type { Node } from "./node.ts";
import { type Listing, pageOf } from "./page.ts";
import { headerName } from "./targets.ts";
import { optionalDuration } from "./values.ts";
import { enqueueView } from "./views.ts";
import { accepted, enqueue } from "./worker-handlers.ts";

type IncomingHandlers = Pick<
  Handlers,
  "listIncoming" | "setIncoming" | "deleteIncoming" | "receiveWebhook"
>;
type Settings = InputOf<Operations["setIncoming"]>["body"];
type Shown = ResultOf<Operations["setIncoming"]>;
type Query = InputOf<Operations["receiveWebhook"]>["query"];

export const incomingListing: Listing<Shown> = {
  list: "webhooks/incoming",
  placeOf: ({ queue }) => queue,
  isReverse: false,
};

const defaultToleranceMs = 300_000;
const toleranceMsMin = 1000;

export function createIncomingHandlers(node: Node): IncomingHandlers {
  const table = () => node.replica.engine.state.records("incoming");
  return {
    async listIncoming({ query }) {
      const all = [...table().entries()].map(([name, settings]) => incomingView(name, settings));
      const { rows, end } = pageOf(incomingListing, query, all);
      return { queues: rows, ...end };
    },
    async setIncoming({ params, body }) {
      const { name } = params;
      node.refuseElsewhere(name);
      const spec = toSpec(body);
      const bytes = 256 + JSON.stringify(spec).length;
      await node.propose({ kind: "setIncoming", queue: name, spec }, bytes);
      return incomingView(name, { ...spec, updatedAtMs: node.readMs });
    },
    async deleteIncoming({ params }) {
      await node.propose({ kind: "setIncoming", queue: params.name }, 128);
      return { status: "deleted" };
    },
    async receiveWebhook({ params, query, body }) {
      const settings = table().get(params.name);
      if (settings !== undefined) {
        verifyCall(body, { settings, nowMs: node.deps.clock.nowMs(), hmac: node.deps.hmac });
      }
      const spec = {
        queue: params.name,
        payload: bounded(node, payloadOf(body.text)),
        ...optionsOf(query),
        ...tagsOf(query, body, settings),
      };
      const job = toNewJob(spec, { index: 0, shard: node.options.shard });
      const key = keyOf(params.name, body, settings);
      // The sender's word for it is enough: the same id is the same message, however it is written this time.
      const once = key === undefined ? undefined : { key, fingerprint: key };
      const { results } = await enqueue(node, { jobs: [job] }, once);
      const done = accepted(results[0]);
      const view = enqueueView(node.idOf(done), done, job);
      return view.unique_existing ? new Reply(200, view) : view;
    },
  };
}

function toSpec(body: Settings): IncomingSpec {
  const { scheme, secret, id_header } = body;
  if ((scheme === "none") !== (secret == null)) {
    throw invalid(
      scheme === "none"
        ? "secret: with scheme none nothing is verified"
        : `secret: scheme ${scheme} needs what senders sign with`,
    );
  }
  const tagHeaders = (body.tag_headers ?? []).map((name) => toHeader("tag_headers", name));
  return {
    scheme,
    secret: secret ?? "",
    toleranceMs: toTolerance(body),
    ...(id_header == null
      ? {}
      : { idHeader: id_header === "" ? "" : toHeader("id_header", id_header) }),
    tagHeaders: [...new Set(tagHeaders)],
  };
}

function toTolerance({ scheme, tolerance }: Settings): number {
  if (tolerance != null && scheme !== "stripe" && scheme !== "standard") {
    throw invalid(`tolerance: signatures of scheme ${scheme} have no time in them`);
  }
  const toleranceMs = optionalDuration("tolerance", tolerance) ?? defaultToleranceMs;
  if (toleranceMs >= toleranceMsMin && toleranceMs <= limits.toleranceMsMax) return toleranceMs;
  throw new CorvoError(
    "LIMIT_EXCEEDED",
    `tolerance: ${tolerance} is not within ${toleranceMsMin} ms and ${limits.toleranceMsMax} ms (toleranceMsMax)`,
  );
}

function toHeader(field: string, name: string): string {
  if (headerName.test(name)) return name.toLowerCase();
  throw invalid(`${field}: expected names of headers, got ${JSON.stringify(name.slice(0, 80))}`);
}

/** A text in quotes is longer than the body that was measured: up to six times, when each character needs an escape. */
function bounded(node: Node, payload: RawJson): RawJson {
  const bytes = Buffer.byteLength(payload.text);
  const { payloadBytesMax } = node.packing;
  if (bytes <= payloadBytesMax) return payload;
  throw new CorvoError(
    "PAYLOAD_TOO_LARGE",
    `the body has ${bytes} bytes as a text in JSON; the limit payloadBytesMax (--max-payload-size) is ${payloadBytesMax}`,
  );
}

const byteOrderMark = "\ufeff";

/** JSON as it came; anything else as a text. */
function payloadOf(sent: string): RawJson {
  const text = sent.startsWith(byteOrderMark) ? sent.slice(1) : sent;
  if (text.trim() === "") return new RawJson("{}");
  const parsed = parseJson(text, "raw", limits.jsonDepthMax);
  if (parsed.ok) return parsed.value as RawJson;
  if (parsed.problem === "syntax") return new RawJson(JSON.stringify(text));
  throw new CorvoError("PARSE_ERROR", `the JSON is ${parsed.message} (limit jsonDepthMax)`);
}

function optionsOf({ priority, unique_key, max_retries, scheduled_at }: Query) {
  return {
    ...(priority === undefined ? {} : { priority }),
    ...(unique_key === undefined ? {} : { unique_key }),
    ...(max_retries === undefined ? {} : { max_retries }),
    ...(scheduled_at === undefined ? {} : { scheduled_at }),
  };
}

function tagsOf(
  { tags }: Query,
  { headers }: IncomingCall,
  settings: IncomingSettings | undefined,
): { tags?: Record<string, string> } {
  const found = new Map<string, string>();
  for (const name of settings?.tagHeaders ?? []) {
    const value = headers[name];
    if (value !== undefined) found.set(name, value.slice(0, limits.tagLengthMax).toWellFormed());
  }
  for (const pair of (tags ?? "").split(",")) {
    if (pair === "") continue;
    const colon = pair.indexOf(":");
    const [name, value] = [pair.slice(0, colon), pair.slice(colon + 1)];
    if (colon < 1 || value.length > limits.tagLengthMax) {
      throw invalid(
        `tags: expected name:value of at most ${limits.tagLengthMax} characters (tagLengthMax), got ${JSON.stringify(pair.slice(0, 80))}`,
      );
    }
    found.set(name, value);
  }
  return found.size === 0 ? {} : { tags: Object.fromEntries(found) };
}

/** The sender's id of the message as an idempotency key; undefined when it has none. */
function keyOf(
  queue: string,
  { headers }: IncomingCall,
  settings: IncomingSettings | undefined,
): string | undefined {
  if (settings === undefined) return undefined;
  const header = settings.idHeader ?? idHeaders[settings.scheme];
  const id = header === undefined || header === "" ? undefined : headers[header];
  if (id === undefined || id === "") return undefined;
  if (id.length > limits.keyLengthMax) {
    throw new CorvoError(
      "LIMIT_EXCEEDED",
      `${header} has ${id.length} characters; at most ${limits.keyLengthMax} (keyLengthMax)`,
    );
  }
  return `incoming ${queue} ${id}`;
}

function incomingView(queue: string, settings: IncomingSettings): Shown {
  const { scheme, secret, toleranceMs, tagHeaders } = settings;
  const header = settings.idHeader ?? idHeaders[scheme];
  return {
    queue,
    scheme,
    has_secret: secret !== "",
    tolerance_ms: toleranceMs,
    ...(header === undefined || header === "" ? {} : { id_header: header }),
    tag_headers: [...tagHeaders],
    updated_at: formatTime(settings.updatedAtMs),
  };
}

function invalid(message: string): CorvoError {
  return new CorvoError("VALIDATION_ERROR", message);
}
