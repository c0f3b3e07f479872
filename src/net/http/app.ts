/**
 * The HTTP server: every operation of the table as a route, the OpenAPI document, the streaming socket, and what every
 * other path gets. No route has a body of its own; what an operation does lies in its handler.
 *
 * elysia does the routing. It reads no bodies and maps no errors: both are ours, because their wording, bounds and
 * codes are part of the contract.
 */
import type { Server } from "bun";
import { Elysia } from "elysia";
import { type EventFeed, eventsPath } from "../../api/events.ts";
import type { Method, Operation } from "../../api/operation.ts";
import { type Handlers, type OperationName, operations } from "../../api/operations.ts";
import { shardHeader } from "../../api/shard-header.ts";
import { type StreamService, streamPath } from "../../api/stream.ts";
import { AssertionError } from "../../base/assert.ts";
import { CorvoError } from "../../base/errors.ts";
import type { Clock, Logger, Timers } from "../../base/ports.ts";
import { foreignCalls } from "../adapters/all.ts";
import { Admission } from "./admission.ts";
import type { BlobAccess } from "./blob-access.ts";
import { ByteRoutes } from "./byte-routes.ts";
import { CallStats } from "./call-stats.ts";
import { type Drain, draining } from "./drain.ts";
import { EventStreams } from "./event-streams.ts";
import { Forwarder } from "./forward.ts";
import { isPassedOn, passedOn } from "./hops.ts";
import { splitUrl, withHost } from "./input.ts";
import { type Leadership, LeaderWatch } from "./leader-watch.ts";
import type { HttpLimits } from "./limits.ts";
import { refuseNamespace } from "./namespace.ts";
import { openApiDocument } from "./openapi.ts";
import { peerBlobRoutes } from "./peer-blob-routes.ts";
import { errorReply, jsonReply } from "./reply.ts";
import { type AnyHandler, Route, type RouteDeps } from "./route.ts";
import { StreamConnections } from "./stream.ts";
import type { ProxyTarget } from "./stream-proxy.ts";
import type { ClientSocket, OpenStream } from "./stream-socket.ts";

export interface AppDeps {
  readonly handlers: Handlers;
  readonly stream: StreamService;
  readonly events: EventFeed;
  readonly forward: Leadership;
  /** The single shards, for other nodes that split a call; only where there are several. */
  readonly shards?: (shard: number) => ShardPart | undefined;
  readonly drain: Drain;
  readonly blobs: BlobAccess;
  /** What a Prometheus server is told. */
  readonly metrics: (seen: CallsSeen) => Promise<string>;
  readonly limits: HttpLimits;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly timers: Timers;
  /** A broken guarantee inside the program; the caller decides how the process ends. */
  readonly onBug: (error: AssertionError) => void;
}

/** What one shard is on this node. */
export interface ShardPart {
  readonly handlers: Handlers;
  readonly stream: StreamService;
  readonly leadership: Leadership;
}

/** What the server itself counts. */
export interface CallsSeen {
  readonly calls: readonly CallStats[];
  readonly inFlight: number;
  readonly streams: number;
}

export interface App {
  /** Starts to listen; port 0 takes a free one. Returns the address. */
  listen(host: string, port: number): string;
  /** Lets nothing new in, waits for what runs, at most `graceMs`, then closes every connection. */
  stop(graceMs: number): Promise<void>;
  /** Address of the running server. */
  readonly url: string | undefined;
  /** Answers a request without a socket. */
  handle(request: Request): Promise<Response>;
}

/**
 * Longest time a connection may be silent, in seconds. Well above the longest long poll, so a poll is never cut and an
 * abandoned connection still ends.
 */
const idleSeconds = 120;
/** As 0.3 has it, and where it is looked for by default. */
const metricsPaths = ["/api/v1/metrics", "/metrics"];
const streamIdleSeconds = 60;

export function createApp(deps: AppDeps): App {
  return new HttpApp(deps);
}

class HttpApp implements App {
  readonly #deps: AppDeps;
  readonly #admission: Admission;
  readonly #watch: LeaderWatch;
  readonly #streams: StreamConnections;
  readonly #events: EventStreams;
  readonly #forwarder: Forwarder;
  readonly #elysia: Elysia;
  readonly #methods: PathMethods;
  /**
   * Operations whose path has no placeholder, which are all the busy ones, also stand in the runtime's own table: a sixth
   * more requests a second than through the router. What this table does not know falls through to elysia.
   */
  readonly #fixedPaths: Record<string, Partial<Record<Method, ServeRoute>>> = {};
  readonly #calls: CallStats[] = [];
  readonly #runId: string;
  #server: Server<OpenStream> | undefined;
  #faults = 0;

  constructor(deps: AppDeps) {
    this.#deps = deps;
    this.#admission = new Admission(deps.limits);
    this.#watch = new LeaderWatch(deps.timers);
    this.#runId = deps.clock.nowMs().toString(36);
    const { handlers, limits } = deps;
    const admission = this.#admission;
    const explain = (thrown: unknown, request?: Request) => this.#explain(thrown, request);
    const { forward: leadership, drain } = deps;
    const watch = this.#watch;
    drain.whenChanged(() => watch.look());
    const whenNotLeading = (request: Request, ended: () => void) => {
      const isOwn = !isPassedOn(request);
      return watch.whenOver(() => leadership.isLeader() && !(isOwn && drain.isOn), ended);
    };
    const { clock, timers } = deps;
    const shared = { limits, admission, explain, clock, timers, whenNotLeading, drain };
    this.#streams = new StreamConnections({ ...shared, stream: deps.stream, leadership, watch });
    this.#events = new EventStreams({ ...shared, feed: deps.events });
    this.#forwarder = new Forwarder({ ...shared, leadership, watch });
    this.#methods = new PathMethods();
    // Without this elysia looks for the path behind the tenth character and misses it after a short host name.
    this.#elysia = new Elysia({ handler: { standardHostname: false } });
    for (const name of Object.keys(operations) as OperationName[]) {
      const handler = handlers[name] as AnyHandler;
      this.#mount(operations[name], handler, { shared, name });
    }
    const { payloadBytesMax } = limits;
    for (const { operation, handler } of foreignCalls({ handlers, clock, payloadBytesMax })) {
      this.#mount(operation, handler as AnyHandler, { shared });
    }
    const ask = (request: Request) => this.#elysia.handle(request);
    const byteRoutes = new ByteRoutes({ ...shared, blobs: deps.blobs, ask });
    for (const { operation, serve } of byteRoutes.all()) {
      this.#add(operation.method, operation.path, serve);
    }
    for (const { method, path, serve } of peerBlobRoutes({ blobs: deps.blobs, explain })) {
      this.#add(method, path, serve);
    }
    this.#add("GET", "/openapi.json", () => this.#openApi());
    for (const path of metricsPaths) this.#add("GET", path, (request) => this.#metrics(request));
    this.#add("GET", streamPath, (request) => this.#upgrade(request));
    this.#add("GET", eventsPath, (request) => this.#readEvents(request));
    this.#elysia.all("/*", ({ request }) => this.#other(request), { parse: "none" });
    this.#elysia.compile();
  }

  /** One row as a route. A foreign call has no name that another node could ask one shard by. */
  #mount(
    operation: Operation,
    handler: AnyHandler,
    { shared, name }: { readonly shared: RouteDeps; readonly name?: OperationName },
  ): void {
    const { forward, drain, shards } = this.#deps;
    const route = new Route(operation, handler, shared);
    const whole = (request: Request) =>
      forward.isLeader() || !this.#forwarder.isForLeader(operation, request)
        ? route.serve(request)
        : this.#forwarder.serve(operation, request);
    const answer =
      shards === undefined || name === undefined ? whole : this.#byShard(name, route, whole);
    const allowed = operation.claims ? unlessDraining(drain, answer) : answer;
    const stats = new CallStats(operation.method, operation.path);
    this.#calls.push(stats);
    const { clock } = this.#deps;
    const serve: ServeOperation = async (request) => {
      const startMs = clock.monotonicMs();
      const response = await allowed(request);
      stats.note(response.status, clock.monotonicMs() - startMs);
      return response;
    };
    const added = this.#add(operation.method, operation.path, serve);
    if (operation.path.includes("{")) return;
    const methods = this.#fixedPaths[operation.path];
    this.#fixedPaths[operation.path] = { ...methods, [operation.method]: added };
  }

  /** Calls that name a shard go to it; all others to the service that knows all of them. */
  #byShard(name: OperationName, route: Route, whole: ServeOperation): ServeOperation {
    return async (request) => {
      const named = request.headers.get(shardHeader);
      if (named === null) return whole(request);
      try {
        const { handlers, leadership } = this.#ledShard(named);
        const handler = handlers[name] as AnyHandler;
        const whenNotLeading = (_: Request, ended: () => void) =>
          this.#watch.whenOver(() => leadership.isLeader(), ended);
        return await route.serve(request, { handler, whenNotLeading });
      } catch (thrown) {
        return errorReply(this.#explain(thrown, request), 0);
      }
    };
  }

  #ledShard(named: string): ShardPart {
    const part = /^\d{1,4}$/.test(named) ? this.#deps.shards?.(Number(named)) : undefined;
    if (part === undefined) {
      throw new CorvoError("VALIDATION_ERROR", `${shardHeader}: no shard "${named.slice(0, 16)}"`);
    }
    if (part.leadership.isLeader()) return part;
    throw new CorvoError("UNAVAILABLE", `this node does not lead shard ${named} at the moment`, {
      retryAfterMs: 200,
    });
  }

  get url(): string | undefined {
    return this.#server?.url.origin;
  }

  handle(request: Request): Promise<Response> {
    return this.#elysia.handle(request);
  }

  listen(host: string, port: number): string {
    const { limits } = this.#deps;
    this.#server = Bun.serve<OpenStream>({
      hostname: host,
      port,
      development: false,
      // The runtime shares ports in production: a second server would take half of the calls, unnoticed.
      reusePort: false,
      idleTimeout: idleSeconds,
      // Routes bound bodies themselves, to name the limit in the answer.
      maxRequestBodySize: Number.MAX_SAFE_INTEGER,
      routes: this.#fixedPaths,
      fetch: (request) => this.#elysia.fetch(withHost(request)),
      websocket: {
        idleTimeout: streamIdleSeconds,
        sendPings: true,
        maxPayloadLength: limits.bodyBytesMax,
        backpressureLimit: limits.streamBufferBytesMax,
        closeOnBackpressureLimit: true,
        perMessageDeflate: false,
        open: (socket: ClientSocket) => socket.data.opened(socket),
        message: (socket: ClientSocket, message: string | Buffer) => socket.data.received(message),
        drain: (socket: ClientSocket) => socket.data.drained(),
        close: (socket: ClientSocket) => socket.data.closed(),
      },
    });
    return this.#server.url.origin;
  }

  async stop(graceMs: number): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    this.#admission.close();
    this.#streams.announceClosing();
    this.#events.closeAll();
    let cancel = () => {};
    const grace = new Promise<void>((resolve) => {
      cancel = this.#deps.timers.after(graceMs, resolve);
    });
    await Promise.race([server.stop(false), grace]);
    cancel();
    this.#streams.closeAll();
    await server.stop(true);
  }

  #add<Answer extends ReturnType<Serve>>(
    method: Method,
    path: string,
    serve: (request: Request) => Answer,
  ): (request: Request) => Answer | Response {
    const isOfTenants = path.startsWith("/api/") || path.startsWith("/v1/");
    const added = isOfTenants ? this.#inDefaultNamespace(serve) : serve;
    this.#methods.add(method, path);
    const pattern = path.replaceAll(/\{(\w+)\}/g, ":$1");
    const options = { parse: "none" } as const;
    this.#elysia.route(method, pattern, ({ request }) => added(request), options);
    if (method === "GET")
      this.#elysia.route("HEAD", pattern, ({ request }) => added(request), options);
    return added;
  }

  #inDefaultNamespace<Answer>(
    serve: (request: Request) => Answer,
  ): (request: Request) => Answer | Response {
    return (request) => {
      try {
        refuseNamespace(request);
      } catch (thrown) {
        return errorReply(this.#explain(thrown, request), 0);
      }
      return serve(request);
    };
  }

  async #metrics(request: Request): Promise<Response> {
    const { clock } = this.#deps;
    const startMs = clock.monotonicMs();
    try {
      const text = await this.#deps.metrics({
        calls: this.#calls,
        inFlight: this.#admission.requests,
        streams: this.#streams.size,
      });
      const reply = jsonReply(200, text, clock.monotonicMs() - startMs);
      reply.headers.set("content-type", "text/plain; version=0.0.4; charset=utf-8");
      return reply;
    } catch (thrown) {
      return errorReply(this.#explain(thrown, request), 0);
    }
  }

  #openApi(): Response {
    openApiText ??= JSON.stringify(openApiDocument());
    return jsonReply(200, openApiText, 0);
  }

  /** Any node serves these from what it has. */
  #readEvents(request: Request): ReturnType<Serve> {
    try {
      if (!wantsWebSocket(request)) return this.#events.serve(request);
      const socket = this.#events.createSocket(request);
      try {
        this.#open(request, socket);
      } catch (thrown) {
        socket.closed();
        throw thrown;
      }
      return undefined;
    } catch (thrown) {
      return errorReply(this.#explain(thrown, request), 0);
    }
  }

  #upgrade(request: Request): ReturnType<Serve> {
    try {
      if (!wantsWebSocket(request)) {
        throw new CorvoError("VALIDATION_ERROR", `${streamPath} speaks WebSocket only`, {
          hint: "Connect with a WebSocket client; docs/spec/streaming.md describes the frames.",
        });
      }
      const shard = this.#deps.shards === undefined ? null : request.headers.get(shardHeader);
      if (shard !== null) {
        const { stream, leadership } = this.#ledShard(shard);
        this.#open(request, this.#streams.create({ isPassedOn: true }, { stream, leadership }));
        return undefined;
      }
      if (!this.#deps.forward.isLeader()) return this.#upgradeToProxy(request);
      this.#open(request, this.#streams.create({ isPassedOn: isPassedOn(request) }));
      return undefined;
    } catch (thrown) {
      return errorReply(this.#explain(thrown, request), 0);
    }
  }

  async #upgradeToProxy(request: Request): Promise<Response | undefined> {
    try {
      const proxy = this.#streams.createProxy(this.#proxyTarget(request));
      await proxy.connect();
      try {
        this.#open(request, proxy);
      } catch (thrown) {
        proxy.closed();
        throw thrown;
      }
      return undefined;
    } catch (thrown) {
      return errorReply(this.#explain(thrown, request), 0);
    }
  }

  #open(request: Request, data: OpenStream): void {
    if (this.#server?.upgrade(request, { data }) === true) return;
    throw new CorvoError("VALIDATION_ERROR", "the WebSocket handshake is not valid");
  }

  #proxyTarget(request: Request): ProxyTarget {
    const { forward } = this.#deps;
    const leader = this.#forwarder.target(request);
    const headers = passedOn(request.headers);
    // Those of the handshake are made anew by the client of the next hop.
    const names = [...headers.keys()].filter((name) => name.startsWith("sec-websocket-"));
    for (const name of names) headers.delete(name);
    return {
      url: leader.replace(/^http/, "ws") + streamPath,
      headers: Object.fromEntries(headers),
      isLeader: () => !forward.isLeader() && forward.leaderUrl()?.replace(/\/+$/, "") === leader,
    };
  }

  /** Everything that is no operation: CORS preflight, wrong methods, unknown paths. */
  #other(request: Request): Response {
    if (request.method === "OPTIONS") return jsonReply(200, undefined, 0);
    const { path } = splitUrl(request.url);
    const shown = path.slice(0, 128);
    const allowed = this.#methods.of(path);
    if (allowed.length === 0) {
      return errorReply(
        new CorvoError("NOT_FOUND", `no such path: ${shown}`, {
          hint: "GET /openapi.json lists every path.",
        }),
        0,
      );
    }
    const allow = allowed.join(", ");
    const text = `${request.method} is not a method of ${shown}; it has ${allow}`;
    const reply = errorReply(new CorvoError("METHOD_NOT_ALLOWED", text), 0);
    reply.headers.set("allow", allow);
    return reply;
  }

  /** What is unexpected is logged here, once, and named to the caller only by an id. */
  #explain(thrown: unknown, request?: Request): CorvoError {
    if (thrown instanceof CorvoError) return thrown;
    const id = `${this.#runId}-${++this.#faults}`;
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    this.#deps.logger.error("unexpected failure while serving", {
      request_id: id,
      method: request?.method,
      path: request === undefined ? streamPath : splitUrl(request.url).path,
      error: error.stack ?? error.message,
    });
    if (error instanceof AssertionError) this.#deps.onBug(error);
    return new CorvoError("INTERNAL_ERROR", `internal error ${id}`, {
      details: { request_id: id },
    });
  }
}

type ServeOperation = (request: Request) => Promise<Response>;
type ServeRoute = (request: Request) => Promise<Response> | Response;
type Serve = (request: Request) => Promise<Response | undefined> | Response | undefined;

function wantsWebSocket(request: Request): boolean {
  return request.headers.get("upgrade")?.toLowerCase() === "websocket";
}

/** What gives out work is refused while the node drains, unless another node passes it on. */
function unlessDraining(drain: Drain, answer: ServeOperation): ServeOperation {
  return async (request) => {
    if (isPassedOn(request)) return answer(request);
    if (drain.isOn) return errorReply(draining(), 0);
    const stop = drain.claiming();
    try {
      return await answer(request);
    } finally {
      stop();
    }
  };
}

let openApiText: string | undefined;

/** Which methods each path has, for the `Allow` header. Only consulted when no route matched. */
class PathMethods {
  readonly #paths = new Map<string, { readonly expression: RegExp; readonly methods: string[] }>();

  add(method: string, template: string): void {
    const expression = new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}/?$`);
    const entry = this.#paths.get(template) ?? { expression, methods: ["OPTIONS"] };
    entry.methods.push(...(method === "GET" ? ["GET", "HEAD"] : [method]));
    this.#paths.set(template, entry);
  }

  of(path: string): string[] {
    const methods = new Set<string>();
    for (const entry of this.#paths.values()) {
      if (entry.expression.test(path)) for (const method of entry.methods) methods.add(method);
    }
    return [...methods].sort();
  }
}
