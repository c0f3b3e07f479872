/** The cluster in words, and what its operations ask of the node. */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CorvoError } from "../../src/base/errors.ts";
import type { ClusterControl, ClusterMember, ClusterView } from "../../src/service/cluster.ts";
import { createClusterHandlers } from "../../src/service/cluster-handlers.ts";
import { summarizeCluster } from "../../src/service/cluster-summary.ts";

function member(id: number, more: Partial<ClusterMember> = {}): ClusterMember {
  return {
    id,
    uuid: `uuid-${id}`,
    httpUrl: `http://10.0.0.${id}:8080`,
    peerAddress: `10.0.0.${id}:9090`,
    version: "0.4.0",
    voter: true,
    role: id === 1 ? "leader" : "follower",
    self: id === 1,
    lag: 0,
    lastContactMs: 10,
    disk: undefined,
    state: "ok",
    lacksBlobs: false,
    clockSkewMs: 0,
    isOneWay: false,
    failure: undefined,
    ...more,
  };
}

function view(members: readonly ClusterMember[], more: Partial<ClusterView> = {}): ClusterView {
  return {
    clusterId: "c",
    recoveryEpoch: 0,
    selfId: 1,
    role: "leader",
    term: 3,
    leaderId: 1,
    commitIndex: 2 ** 40,
    appliedIndex: 2 ** 40 - 1,
    featureLevel: 2,
    members,
    shards: [],
    ...more,
  };
}

const learner = { voter: false, role: "learner" } as const;
const gone = { state: "unreachable" } as const;
const deaf = { state: "unreachable", isOneWay: true, failure: "Failed to connect" } as const;
const full = { disk: { freeBytes: 0, usedBytes: 1e9 } } as const;

describe("how the cluster is, in a sentence", () => {
  const cases: readonly [string, ClusterView, string, string][] = [
    [
      "a single node",
      view([member(1)]),
      "healthy",
      "A single node: healthy; losing its disk loses its jobs.",
    ],
    [
      "two voters",
      view([member(1), member(2)]),
      "degraded",
      "Two voters: losing either node stops writes; add a third with `corvo server --join`.",
    ],
    [
      "three voters",
      view([member(1), member(2), member(3)]),
      "healthy",
      "Healthy: the cluster tolerates 1 failure.",
    ],
    [
      "four voters",
      view([1, 2, 3, 4].map((id) => member(id))),
      "healthy",
      "Healthy: the cluster tolerates 1 failure. An even number of voters tolerates no more than 3 do: `corvo cluster demote` one, or add one.",
    ],
    [
      "a shard without a leader",
      view(
        [1, 2, 3].map((id) => member(id)),
        {
          shards: [0, 1].map((shard) => ({
            shard,
            leaderId: shard === 0 ? 1 : undefined,
            term: 1,
            commitIndex: 1,
            appliedIndex: 1,
          })),
        },
      ),
      "degraded",
      "Shard 1 of 2: no leader is known to node 1, and writes to these queues wait for an election. Healthy: the cluster tolerates 1 failure.",
    ],
    [
      "one of three is down",
      view([member(1), member(2), member(3, gone)]),
      "degraded",
      "Degraded: node 3 cannot be reached, and the cluster tolerates no further failure. Start it again, or replace it: add another with `corvo server --join`, then `corvo cluster remove 3`.",
    ],
    [
      "one of three runs, and the leader cannot call it",
      view([member(1), member(2), member(3, deaf)]),
      "degraded",
      "Degraded: node 3 runs, but cannot be reached at 10.0.0.3:9090 (Failed to connect), and the cluster tolerates no further failure. Look at what lies between, and at its --peer-advertise.",
    ],
    [
      "one of five is down, and the leader cannot call another one",
      view([member(1), member(2), member(3, deaf), member(4, gone), member(5)]),
      "degraded",
      "Degraded: node 4 cannot be reached, and the cluster tolerates no further failure. Start it again, or replace it: add another with `corvo server --join`, then `corvo cluster remove 4`. Degraded: node 3 runs, but cannot be reached at 10.0.0.3:9090 (Failed to connect), and the cluster tolerates no further failure. Look at what lies between, and at its --peer-advertise.",
    ],
    [
      "a node has joined that the leader cannot call",
      view([member(1), member(2, { ...learner, ...deaf })]),
      "degraded",
      "One voter: losing it stops writes. Learner 2 runs, but cannot be reached at 10.0.0.2:9090 (Failed to connect). Look at what lies between, and at its --peer-advertise.",
    ],
    [
      "the disk of one of three is full",
      view([member(1), member(2), member(3, full)]),
      "degraded",
      "Degraded: the disk of node 3 is full, so nothing is stored there, and the cluster tolerates no further failure. Free space on it.",
    ],
    [
      "the disk of a single node is full",
      view([member(1, full)]),
      "degraded",
      "A single node, whose disk is full: it can store nothing until there is space.",
    ],
    [
      "the majority is down",
      view([member(1), member(2, gone), member(3, gone)]),
      "unavailable",
      "Writes stopped: 2 of 3 voters cannot be reached (node 2, node 3) and 2 are needed; start them again.",
    ],
    [
      "a node drains",
      view([member(1), member(2, { state: "draining" }), member(3)]),
      "healthy",
      "Healthy: the cluster tolerates 1 failure. Node 2 is draining: it gives out no work. Stop it, or let it go on with `corvo server drain --undo`.",
    ],
    [
      "the clocks of two nodes are wrong",
      view([
        member(1),
        member(2, { clockSkewMs: 125_040 }),
        member(3, { clockSkewMs: -1200 }),
        member(4, { clockSkewMs: 900 }),
        member(5, { clockSkewMs: undefined }),
      ]),
      "healthy",
      "Healthy: the cluster tolerates 2 failures. Clocks differ from that of node 1: node 2 is 2m5s ahead, node 3 is 1.2s behind. Set them by NTP, since jobs fall due by the clock of whoever leads.",
    ],
    [
      "a single node drains",
      view([member(1, { state: "draining" })]),
      "healthy",
      "A single node: healthy; losing its disk loses its jobs. Node 1 is draining: it gives out no work. Stop it, or let it go on with `corvo server drain --undo`.",
    ],
    [
      "an election",
      view([member(1, { role: "candidate" }), member(2), member(3)], {
        role: "candidate",
        leaderId: undefined,
      }),
      "unavailable",
      "No leader is known to node 1: writes wait for an election. If this lasts, check that a majority (2 of 3 voters) is running and reachable.",
    ],
    [
      "a follower was asked",
      view([member(1, { role: "follower" }), member(2, { role: "leader" }), member(3)], {
        role: "follower",
        leaderId: 2,
      }),
      "healthy",
      "Node 1 follows leader 2; ask the leader how the others are.",
    ],
    [
      "a follower that has not heard of the others was asked",
      view(
        [member(1, { role: "follower" }), member(2, { role: "leader", ...gone }), member(3, gone)],
        { role: "follower", leaderId: 2 },
      ),
      "healthy",
      "Node 1 follows leader 2; ask the leader how the others are.",
    ],
    [
      "a first node has joined and is behind",
      view([member(1), member(2, { ...learner, state: "catching up", lag: 12_345 })]),
      "degraded",
      "One voter: losing it stops writes. Learner 2 (12,345 entries behind) is catching up and votes when it has.",
    ],
    [
      "a voter and a learner still fetch blobs",
      view([
        member(1),
        member(2, { lacksBlobs: true }),
        member(3),
        member(4, { ...learner, lacksBlobs: true }),
      ]),
      "healthy",
      "Healthy: the cluster tolerates 1 failure. Fetching blobs of jobs: node 2. Learner 4 is fetching blobs of jobs, and does not vote before it has them.",
    ],
    [
      "a voter is behind and a learner is away",
      view([
        member(1),
        member(2, { state: "catching up", lag: 5 }),
        member(3),
        member(4, { ...learner, ...gone }),
      ]),
      "healthy",
      "Healthy: the cluster tolerates 1 failure. Catching up: 2 (5 entries behind). Learner 4 cannot be reached.",
    ],
  ];
  test.each(cases)("%s", (_, given, status, sentence) => {
    expect(summarizeCluster(given)).toEqual({ status: status as "healthy", sentence });
  });

  test("writes are called stopped exactly when a majority of the voters is out of reach", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.boolean(), fc.boolean()), { maxLength: 8 }), (others) => {
        const members = [
          member(1),
          ...others.map(([voter, isUp], i) =>
            member(i + 2, { ...(voter ? {} : learner), ...(isUp ? {} : gone) }),
          ),
        ];
        const voters = members.filter((one) => one.voter);
        const up = voters.filter((one) => one.state === "ok");
        const { status } = summarizeCluster(view(members));
        expect(status === "unavailable").toBe(up.length * 2 <= voters.length);
      }),
    );
  });
});

function control(given: ClusterView) {
  const calls: unknown[] = [];
  const note = async (...call: unknown[]) => {
    calls.push(call);
  };
  const cluster: ClusterControl = {
    view: () => given,
    async join(request) {
      calls.push(["join", request]);
      return {
        clusterId: "c",
        nodeId: 4,
        shards: 1,
        recoveryEpoch: 2,
        peers: [{ id: 1, uuid: "uuid-1", peerAddress: "10.0.0.1:9090" }],
      };
    },
    remove: (id) => note("remove", id),
    transferLeadership: (id) => note("transfer", id),
    setVoter: (id, voter) => note("setVoter", id, voter),
    handOver: () => note("handOver"),
    meet: () => ({
      uuid: "uuid-1",
      httpUrl: "http://h",
      clusterId: "c",
      hasSecret: true,
      knows: [],
    }),
    async snapshot(id) {
      calls.push(["snapshot", id]);
      return { nodeId: id ?? 1, index: 2000, bytes: 4096, durationMs: 12.4, logFirst: 1001 };
    },
    leaderUrl: () => undefined,
  };
  return { calls, handlers: createClusterHandlers(cluster) };
}

const context = { signal: new AbortController().signal };
const nodeInput = (node: string) => ({ params: {}, query: {}, body: { node } });

describe("cluster operations", () => {
  test("the status has the members as the node sees them, with indexes as text", async () => {
    const { handlers } = control(
      view([
        member(1),
        member(2, {
          lag: undefined,
          lastContactMs: undefined,
          clockSkewMs: undefined,
          state: "unknown",
        }),
      ]),
    );
    const status = await handlers.clusterStatus({ params: {}, query: {}, body: {} }, context);
    expect(status).toEqual({
      mode: "cluster",
      status: "degraded",
      summary: expect.stringContaining("Two voters"),
      cluster_id: "c",
      recovery_epoch: 0,
      node_id: "1",
      state: "Leader",
      term: 3,
      leader_id: "1",
      leader_addr: "10.0.0.1:9090",
      commit_index: "1099511627776",
      applied_index: "1099511627775",
      feature_level: 2,
      nodes: [
        {
          id: "1",
          uuid: "uuid-1",
          address: "10.0.0.1:9090",
          http_url: "http://10.0.0.1:8080",
          version: "0.4.0",
          voter: true,
          role: "leader",
          state: "ok",
          self: true,
          lag: 0,
          last_contact_ms: 10,
          clock_skew_ms: 0,
        },
        {
          id: "2",
          uuid: "uuid-2",
          address: "10.0.0.2:9090",
          http_url: "http://10.0.0.2:8080",
          version: "0.4.0",
          voter: true,
          role: "follower",
          state: "unknown",
          self: false,
        },
      ],
    });
  });

  test.each(["2", "uuid-2", "10.0.0.2:9090", "http://10.0.0.2:8080"])(
    "a node is known by %s",
    async (name) => {
      const { handlers, calls } = control(view([member(1), member(2)]));
      await handlers.removeNode(nodeInput(name), context);
      await handlers.transferLeader(nodeInput(name), context);
      await handlers.promoteNode(nodeInput(name), context);
      await handlers.demoteNode(nodeInput(name), context);
      expect(calls).toEqual([
        ["remove", 2],
        ["transfer", 2],
        ["setVoter", 2, true],
        ["setVoter", 2, false],
      ]);
    },
  );

  test("leadership goes to any node when none is named", async () => {
    const { handlers, calls } = control(view([member(1), member(2)]));
    await handlers.transferLeader({ params: {}, query: {}, body: {} }, context);
    expect(calls).toEqual([["transfer", undefined]]);
  });

  test("a snapshot is made on the node that is named, or on the leader", async () => {
    const { handlers, calls } = control(view([member(1), member(2)]));
    const made = await handlers.makeSnapshot(nodeInput("uuid-2"), context);
    await handlers.makeSnapshot({ params: {}, query: {}, body: {} }, context);
    expect(calls).toEqual([
      ["snapshot", 2],
      ["snapshot", undefined],
    ]);
    expect(made).toEqual({
      node_id: "2",
      index: 2000,
      bytes: 4096,
      duration_ms: 12,
      log_first: 1001,
    });
  });

  test("a name that no node has is refused with those there are", async () => {
    const { handlers, calls } = control(view([member(1, { peerAddress: "" }), member(2)]));
    const error = await handlers.removeNode(nodeInput("9"), context).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(CorvoError);
    expect(error).toMatchObject({
      code: "NOT_FOUND",
      message: 'no node "9" in this cluster; it has 1, 2',
    });
    expect(calls).toEqual([]);
  });

  test("a joiner gets its id and the peers it is to call", async () => {
    const { handlers, calls } = control(view([member(1)]));
    const body = { uuid: "u", http_url: "http://h", peer_address: "h:1", version: "0.4.0" };
    const answer = await handlers.joinCluster({ params: {}, query: {}, body }, context);
    expect(answer).toEqual({
      cluster_id: "c",
      node_id: "4",
      recovery_epoch: 2,
      peers: [{ id: "1", uuid: "uuid-1", peer_address: "10.0.0.1:9090" }],
    });
    expect(calls).toEqual([
      ["join", { uuid: "u", httpUrl: "http://h", peerAddress: "h:1", version: "0.4.0" }],
    ]);
  });
});
