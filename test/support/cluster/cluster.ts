/**
 * A cluster of real processes: the compiled program, one process a node, each with fixed ports and a folder of its own, so
 * that a node comes back by the very command line it was started with.
 */

import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { Place, Server, shardWords } from "../binary.ts";
import { type Authority, createAuthority } from "../certificates.ts";
import { Machine, openWorkshop, type Workshop } from "./machine.ts";
import { PeerNetwork } from "./peer-network.ts";

export interface MemberShown {
  readonly id: string;
  readonly uuid: string;
  readonly address: string;
  readonly http_url: string;
  readonly voter: boolean;
  readonly role: string;
  readonly state: string;
  readonly lag?: number;
  readonly version: string;
  readonly disk_free_bytes?: number;
  readonly data_bytes?: number;
}

export interface ClusterShown {
  readonly status: string;
  readonly summary: string;
  readonly cluster_id: string;
  readonly node_id: string;
  readonly state: string;
  readonly term: number;
  readonly leader_id: string;
  readonly applied_index: string;
  /** Programs of the first level do not say it. */
  readonly feature_level?: number;
  readonly commit_index: string;
  readonly nodes: readonly MemberShown[];
  readonly shards?: readonly {
    readonly shard: number;
    readonly leader_id: string;
    readonly applied_index: string;
    readonly commit_index: string;
  }[];
}

/** Looks again and again until there is something to see. Rejects with the sentence and the last failure. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  withinMs = 15_000,
): Promise<T> {
  const deadlineMs = performance.now() + withinMs;
  let failure: unknown = "never true";
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
      failure = "never true";
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadlineMs) {
      throw new Error(`not within ${withinMs} ms: ${what} (${failure})`);
    }
    await Bun.sleep(20);
  }
}

/**
 * A port that nothing listens on. Not one that the system chooses: from that range it also takes the near ends of
 * connections, so that what was free a moment ago may not be when a server wants it.
 */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const port = 12_000 + (portsTried++ % 20_000);
    if (await isFree(port)) return port;
  }
  throw new Error("no free port from 12000 to 32000 in 50 attempts");
}

/** From anywhere, since other runs look for ports too; then one after the other, so that none is given out twice. */
let portsTried = Math.floor(Math.random() * 20_000);

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

export class ClusterNode {
  readonly name: string;
  readonly words: readonly string[];
  readonly url: string;
  readonly dataDir: string;
  /** What it runs on, if that can be broken. */
  readonly machine: Machine | undefined;
  /** Errors that it is right to log, because of what was done to it. */
  readonly excuses: RegExp[] = [];
  /** The executable that the next start runs; undefined: the one that was built from this tree. */
  program: string | undefined;
  /** Known once it has answered for the first time. */
  id = 0;
  server: Server | undefined;
  /** Everything that its processes ever logged. */
  log = "";
  isPaused = false;
  readonly #place: Place;
  #env: Readonly<Record<string, string>>;

  constructor(
    place: Place,
    spec: {
      readonly name: string;
      readonly words: readonly string[];
      readonly url: string;
      readonly env: Record<string, string>;
      readonly machine: Machine | undefined;
    },
  ) {
    this.#place = place;
    this.#env = { ...spec.machine?.env, ...spec.env };
    this.machine = spec.machine;
    this.name = spec.name;
    this.words = spec.words;
    this.url = spec.url;
    this.dataDir = join(place.path, spec.name);
  }

  get #options() {
    const { program } = this;
    return program === undefined ? { env: this.#env } : { env: this.#env, program };
  }

  /** From the next start on. */
  setEnv(env: Readonly<Record<string, string>>): void {
    this.#env = { ...this.machine?.env, ...env };
  }

  get isRunning(): boolean {
    return this.server !== undefined;
  }

  /** False once its process has ended by itself, too. */
  get isAlive(): boolean {
    return this.server !== undefined && this.server.child.exitCode === null;
  }

  /** Starts the process; it may not be listening yet. */
  spawn(): Server {
    if (this.server !== undefined) throw new Error(`${this.name} runs already`);
    const server = new Server(this.#place.start(this.words, this.#options));
    this.server = server;
    this.isPaused = false;
    server.listening.catch(() => undefined);
    return server;
  }

  async start(): Promise<void> {
    await this.spawn().listening;
    if (this.id !== 0) return;
    this.id = await until(`${this.name} knows its id`, async () =>
      Number((await this.status()).node_id),
    );
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    const { server } = this;
    if (server === undefined) return 0;
    this.server = undefined;
    if (this.isPaused) server.child.kill("SIGCONT");
    const code = await server.stop(signal);
    this.log += server.stderr;
    return code;
  }

  kill(): Promise<number> {
    return this.stop("SIGKILL");
  }

  /** Waits until the process ends by itself; its exit code. */
  async ended(withinMs: number): Promise<number> {
    const { server } = this;
    if (server === undefined) throw new Error(`${this.name} does not run`);
    await until(`${this.name} ends`, async () => !this.isAlive, withinMs);
    return this.stop();
  }

  pause(): void {
    this.server?.child.kill("SIGSTOP");
    this.isPaused = true;
  }

  resume(): void {
    this.server?.child.kill("SIGCONT");
    this.isPaused = false;
  }

  /** What it has logged, the process that runs included. */
  get said(): string {
    return this.log + (this.server?.stderr ?? "");
  }

  /** The server itself waits up to ten seconds for a change of members or of the leader. */
  async request(method: string, path: string, body?: unknown, withinMs = 15_000) {
    const response = await fetch(this.url + path, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      headers: { "content-type": "application/json" },
      signal: AbortSignal.timeout(withinMs),
    });
    const text = await response.text();
    return {
      status: response.status,
      text,
      body: (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>,
    };
  }

  /** A call that must succeed. */
  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.request(method, path, body);
    if (answer.status >= 300) {
      throw new Error(`${this.name} ${method} ${path}: ${answer.status} ${answer.text}`);
    }
    return answer.body as T;
  }

  status(): Promise<ClusterShown> {
    return this.json("GET", "/api/v1/cluster/status?consistency=stale");
  }
}

interface NodeOptions {
  readonly join?: readonly ClusterNode[];
  readonly env?: Record<string, string>;
  readonly words?: readonly string[];
  readonly name?: string;
  /** Without a certificate, where the others have one. */
  readonly plain?: boolean;
  /** Of its HTTP API, where others have to know it beforehand. */
  readonly httpPort?: number;
}

interface ClusterOptions {
  /** The nodes reach each other through a network that can be broken. */
  readonly faulty?: boolean;
  /** They run on machines that can be broken, as far as this one permits. */
  readonly breakable?: boolean;
  /** Each shows the others a certificate of one authority. */
  readonly tls?: boolean;
  readonly words?: readonly string[];
}

export class Cluster {
  readonly place: Place;
  readonly network: PeerNetwork | undefined;
  readonly workshop: Workshop | undefined;
  readonly nodes: ClusterNode[] = [];
  readonly #authority: Authority | undefined;
  readonly #words: readonly string[];
  readonly #machines: Machine[] = [];
  #made = 0;

  private constructor(place: Place, options: ClusterOptions) {
    this.place = place;
    const callers = () =>
      this.nodes.flatMap((node) =>
        node.server === undefined ? [] : [{ pid: node.server.child.pid, id: () => node.id }],
      );
    this.network =
      options.faulty === true
        ? new PeerNetwork(options.tls === true ? callers : undefined)
        : undefined;
    this.workshop = options.breakable === true ? openWorkshop(place.path) : undefined;
    this.#authority = options.tls === true ? createAuthority(place.path) : undefined;
    this.#words = [...shardWords(), ...(options.words ?? [])];
  }

  /** Nothing runs yet. */
  static async create(options: ClusterOptions = {}): Promise<Cluster> {
    return new Cluster(await Place.create(), options);
  }

  /** A running cluster of this many voters. */
  static async of(count: number, options: ClusterOptions = {}): Promise<Cluster> {
    const cluster = await Cluster.create(options);
    try {
      for (let i = 0; i < count; i++) await (await cluster.add()).start();
      await cluster.settled(count);
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A further node, which joins those that are there unless told otherwise. Not started. */
  async add(options: NodeOptions = {}): Promise<ClusterNode> {
    const others = options.join ?? this.nodes;
    this.#made += 1;
    const name = options.name ?? `n${this.#made}`;
    const httpPort = options.httpPort ?? (await freePort());
    const peerPort = await freePort();
    let made: ClusterNode | undefined;
    const nodeIdOf = () => made?.id ?? 0;
    const door = await this.network?.open(peerPort, nodeIdOf);
    const httpDoor = await this.network?.openHttp(httpPort, nodeIdOf);
    const node = new ClusterNode(this.place, {
      name,
      url: `http://127.0.0.1:${httpPort}`,
      env: options.env ?? {},
      machine: this.#machine(join(this.place.path, name)),
      words: [
        ...["server", "--json", "--bind", `127.0.0.1:${httpPort}`],
        ...["--peer-bind", `127.0.0.1:${peerPort}`, "--data-dir", name],
        ...(door === undefined ? [] : ["--peer-advertise", `127.0.0.1:${door}`]),
        ...(httpDoor === undefined ? [] : ["--advertise-url", `http://127.0.0.1:${httpDoor}`]),
        ...others.flatMap(({ url }) => ["--join", url]),
        ...this.#words,
        ...(options.plain === true ? [] : this.#tlsWords(name)),
        ...(options.words ?? []),
      ],
    });
    made = node;
    this.nodes.push(node);
    return node;
  }

  #tlsWords(name: string): string[] {
    if (this.#authority === undefined) return [];
    const { ca } = this.#authority;
    const files = { ca, ...this.#authority.issue("IP:127.0.0.1") };
    return Object.entries(files).flatMap(([kind, pem]) => {
      const path = join(this.place.path, `${name}-${kind}.pem`);
      writeFileSync(path, pem);
      return [`--peer-tls-${kind}`, path];
    });
  }

  /** Half of the nodes, rounded down, have a disk that can be filled; the others keep the one with real syncs. */
  #machine(dataDir: string): Machine | undefined {
    if (this.workshop === undefined) return undefined;
    const small = this.nodes.filter(({ machine }) => machine?.hasSmallDisk === true).length;
    const machine = new Machine(this.workshop, dataDir, {
      smallDisk: small < Math.floor((this.nodes.length + 1) / 2),
    });
    this.#machines.push(machine);
    return machine;
  }

  get running(): ClusterNode[] {
    return this.nodes.filter((node) => node.isRunning && !node.isPaused);
  }

  /** The node that leads by its own word, in the latest term. */
  async leader(withinMs?: number): Promise<ClusterNode> {
    return until("one node leads", () => this.findLeader(), withinMs);
  }

  async findLeader(): Promise<ClusterNode | undefined> {
    const views = await Promise.all(
      this.running.map(async (node) => ({
        node,
        view: await node.status().catch(() => undefined),
      })),
    );
    const leaders = views.filter(({ view }) => view?.state === "Leader");
    leaders.sort((one, other) => (other.view?.term ?? 0) - (one.view?.term ?? 0));
    return leaders[0]?.node;
  }

  async followers(): Promise<ClusterNode[]> {
    const leader = await this.leader();
    return this.running.filter((node) => node !== leader);
  }

  /** Until the leader counts so many voters, all of them reachable, and every node knows a leader. */
  async settled(voters: number, withinMs = 20_000): Promise<ClusterNode> {
    const leader = await until(
      `${voters} voters, all reachable`,
      async () => {
        const found = await this.findLeader();
        if (found === undefined) return undefined;
        const { nodes } = await found.status();
        const ok = nodes.filter((node) => node.voter && node.state === "ok");
        if (ok.length !== voters || nodes.length < voters) return undefined;
        const views = await Promise.all(this.running.map((node) => node.status()));
        // One that has just come up may not have heard of the leader yet, and then passes no call on.
        const groups = views.flatMap((view) => [view, ...(view.shards ?? [])]);
        return groups.every((group) => group.leader_id !== "") ? found : undefined;
      },
      withinMs,
    );
    return leader;
  }

  /** Until all running nodes have applied the same entries and nothing is added. */
  async level(withinMs = 20_000): Promise<void> {
    await until(
      "all nodes have applied the same",
      async () => {
        const views = await Promise.all(this.running.map((node) => node.status()));
        const points = views.map((view) =>
          [view, ...(view.shards ?? [])].map((shard) => [shard.applied_index, shard.commit_index]),
        );
        const isLevel = (points[0] ?? []).every(([applied, commit]) => applied === commit);
        return isLevel && new Set(points.map((one) => JSON.stringify(one))).size === 1;
      },
      withinMs,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) if (node.isPaused) node.resume();
    await this.network?.[Symbol.asyncDispose]();
    for (const machine of this.#machines) machine[Symbol.dispose]();
    await this.place[Symbol.asyncDispose]();
  }
}
