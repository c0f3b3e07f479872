import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  encodeFrame,
  FrameReader,
  type FrameType,
  frameTypes,
} from "../../../src/net/peer/frame.ts";
import {
  AcceptorHandshake,
  CallerHandshake,
  type HandshakeConfig,
  type HandshakeStep,
  peerVersions,
} from "../../../src/net/peer/handshake.ts";
import { clusterId, uuidOf } from "../../support/peer-node.ts";

const secretOf = (text: string) => new TextEncoder().encode(text);

function configOf(nodeId: number, changes: Partial<HandshakeConfig> = {}): HandshakeConfig {
  const self = { clusterId, uuid: uuidOf(nodeId), nodeId, recoveryEpoch: 0 };
  return { self, secret: secretOf("a secret of the cluster"), versions: peerVersions, ...changes };
}

function frameOf(bytes: Uint8Array): [FrameType, Uint8Array] {
  let found: [FrameType, Uint8Array] | undefined;
  new FrameReader(100_000).push(bytes, (type, payload) => {
    found = [type, payload.slice()];
    return true;
  });
  if (found === undefined) throw new Error("not a frame");
  return found;
}

interface Run {
  readonly caller: HandshakeStep;
  readonly acceptor: HandshakeStep;
  readonly bytes: readonly Uint8Array[];
}

const nothing = { kind: "reply", bytes: new Uint8Array(0) } as HandshakeStep;

/** Lets the two talk until one has nothing to say; `change` sees every frame on its way. */
function talk(
  callerConfig: HandshakeConfig,
  acceptorConfig: HandshakeConfig,
  change: (bytes: Uint8Array, turn: number) => Uint8Array = (bytes) => bytes,
  isMember: (uuid: string, nodeId: number) => boolean = () => true,
): Run {
  const target = { uuid: uuidOf(2), nodeId: 2 };
  const caller = new CallerHandshake(callerConfig, target, "messages");
  const acceptor = new AcceptorHandshake(acceptorConfig, isMember);
  const bytes = [change(caller.start(), 0)];
  let callerStep = nothing;
  let acceptorStep = nothing;
  for (let turn = 1; turn < 6; turn += 1) {
    const last = bytes.at(-1) ?? new Uint8Array(0);
    const step =
      turn % 2 === 1 ? acceptor.onFrame(...frameOf(last)) : caller.onFrame(...frameOf(last));
    if (turn % 2 === 1) acceptorStep = step;
    else callerStep = step;
    if (step.bytes === undefined) break;
    bytes.push(change(step.bytes, turn));
  }
  return { caller: callerStep, acceptor: acceptorStep, bytes };
}

function reasonOf(step: HandshakeStep): string {
  return step.kind === "failed" ? step.reason : `it was ${step.kind}`;
}

test("[P30] two members that know the secret prove it to each other, and agree on the version", () => {
  const run = talk(
    configOf(1, { versions: { min: 1, max: 4 }, groups: () => [1, 5] }),
    configOf(2, { versions: { min: 2, max: 3 } }),
  );

  expect(run.caller).toEqual({
    kind: "ready",
    peer: { uuid: uuidOf(2), nodeId: 2, version: 3, purpose: "messages", groups: [] },
  });
  expect(run.acceptor).toMatchObject({
    kind: "ready",
    peer: { uuid: uuidOf(1), nodeId: 1, version: 3, purpose: "messages", groups: [1, 5] },
  });
});

test("[P31] another cluster is refused with both cluster ids, by whoever sees it first", () => {
  const other = "dddddddd-0000-4000-8000-000000000002";
  const self = { clusterId: other, uuid: uuidOf(2), nodeId: 2, recoveryEpoch: 0 };

  const run = talk(configOf(1), configOf(2, { self }));

  for (const step of [run.caller, run.acceptor]) {
    expect(reasonOf(step)).toContain(clusterId);
    expect(reasonOf(step)).toContain(other);
  }
});

test("[P47] a node of the cluster as it was before a recovery is told so, by whoever sees it first", () => {
  const recovered = (nodeId: number) => {
    const config = configOf(nodeId);
    return { ...config, self: { ...config.self, recoveryEpoch: 1 } };
  };

  const called = talk(configOf(1), recovered(2));
  const calling = talk(recovered(1), configOf(2));

  const old = (nodeId: number, other: number) =>
    `node ${nodeId} (${uuidOf(nodeId)}) is of cluster ${clusterId} as it was before a recovery (epoch 0, and node ${other} (${uuidOf(other)}) has 1); empty its data directory and let it join again`;
  expect(called.caller).toMatchObject({ kind: "failed", reason: old(1, 2) });
  expect(calling.caller).toMatchObject({ kind: "failed", reason: old(2, 1) });
  expect(talk(recovered(1), recovered(2)).caller.kind).toBe("ready");
});

test("[P32] without a common version the refusal names both ranges", () => {
  const run = talk(
    configOf(1, { versions: { min: 1, max: 2 } }),
    configOf(2, { versions: { min: 3, max: 4 } }),
  );

  expect(reasonOf(run.caller)).toBe(
    "no common version: the caller speaks peer protocol 1 to 2 and this node 3 to 4; upgrade the older one",
  );
});

test("[P33] a wrong secret is refused, and neither secret is ever sent", () => {
  const run = talk(configOf(1, { secret: secretOf("some other secret") }), configOf(2));

  expect(reasonOf(run.caller)).toContain("wrong cluster secret");
  const sent = Buffer.concat(run.bytes);
  expect(sent.includes("some other secret")).toBe(false);
  expect(sent.includes("a secret of the cluster")).toBe(false);
});

test("[P33] while a secret is changed, two nodes trust each other when each accepts what the other one shows", () => {
  const [old, next, third] = ["the old secret", "the new secret", "a third secret"].map(secretOf);
  if (old === undefined || next === undefined || third === undefined) throw new Error("no secrets");
  const stages = [
    { secret: old },
    { secret: old, alsoAccepted: next },
    { secret: next, alsoAccepted: old },
    { secret: next },
  ];
  const meets = stages.map((caller) =>
    stages.map((acceptor) => talk(configOf(1, caller), configOf(2, acceptor)).caller.kind),
  );
  const stranger = talk(configOf(1, { secret: third }), configOf(2, stages[1]));

  expect(meets).toEqual([
    ["ready", "ready", "ready", "failed"],
    ["ready", "ready", "ready", "failed"],
    ["failed", "ready", "ready", "ready"],
    ["failed", "ready", "ready", "ready"],
  ]);
  expect(reasonOf(stranger.caller)).toContain("wrong cluster secret");
});

test("[P33] an acceptor that does not know the secret is not believed", () => {
  const run = talk(configOf(1), configOf(2), (bytes, turn) =>
    turn === 3
      ? encodeFrame(frameTypes.welcome, (writer) => writer.raw(new Uint8Array(32)))
      : bytes,
  );

  expect(reasonOf(run.caller)).toContain("could not prove that it knows the cluster secret");
});

test("[P34] a proof is worth nothing in another handshake, nor sent back to its maker", () => {
  const first = talk(configOf(1), configOf(2));
  const replayed = talk(configOf(1), configOf(2), (bytes, turn) =>
    turn === 2 ? (first.bytes[2] ?? bytes) : bytes,
  );
  let proof = new Uint8Array(0);
  const reflected = talk(configOf(1), configOf(2), (bytes, turn) => {
    if (turn === 2) proof = frameOf(bytes)[1].slice();
    return turn === 3 ? encodeFrame(frameTypes.welcome, (writer) => writer.raw(proof)) : bytes;
  });

  expect(reasonOf(replayed.acceptor)).toContain("wrong cluster secret");
  expect(reasonOf(reflected.caller)).toContain("could not prove");
});

test("[P35] a node that is no member is refused after it proved who it is", () => {
  const run = talk(
    configOf(4),
    configOf(2),
    (bytes) => bytes,
    (_uuid, nodeId) => nodeId !== 4,
  );

  expect(reasonOf(run.caller)).toBe(
    `node 4 (${uuidOf(4)}) is not a member of cluster ${clusterId}; add it before it connects`,
  );
});

test("[P36] a call that reaches another node than the one wanted is refused with both names", () => {
  const run = talk(configOf(1), configOf(3));

  expect(reasonOf(run.caller)).toBe(
    `node 2 (${uuidOf(2)}) was called and this is node 3 (${uuidOf(3)})`,
  );
});

test("[P37] a copied data directory is told from its original", () => {
  const self = { clusterId, uuid: uuidOf(1), nodeId: 2, recoveryEpoch: 0 };

  const run = talk(configOf(1), configOf(2, { self }));

  expect(reasonOf(run.caller)).toContain("a data directory was copied, an id used twice");
});

test("[P38] nothing in hello and challenge can be changed on the way", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(0, 1),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      (turn, where, flip) => {
        const run = talk(
          configOf(1, { versions: { min: 1, max: 9 } }),
          configOf(2),
          (bytes, at) => {
            if (at !== turn) return bytes;
            const [type, payload] = frameOf(bytes);
            const place = where % payload.length;
            payload[place] = (payload[place] ?? 0) ^ flip;
            return encodeFrame(type, (writer) => writer.raw(payload));
          },
        );

        expect(run.acceptor.kind).not.toBe("ready");
        expect(run.caller.kind).not.toBe("ready");
      },
    ),
    { numRuns: 300 },
  );
});

test("[P39] garbage instead of a handshake fails and never throws", () => {
  const kinds = fc.constantFrom(...Object.values(frameTypes));
  fc.assert(
    fc.property(fc.array(fc.tuple(kinds, fc.uint8Array()), { minLength: 1 }), (frames) => {
      const acceptor = new AcceptorHandshake(configOf(2), () => true);
      const caller = new CallerHandshake(configOf(1), { uuid: uuidOf(2), nodeId: 2 }, "snapshot");
      caller.start();

      for (const [type, payload] of frames) {
        expect(acceptor.onFrame(type, payload).kind).toBe("failed");
        expect(caller.onFrame(type, payload).kind).toBe("failed");
      }
    }),
    { numRuns: 500 },
  );
});

test("[P39] a refusal cannot bring control characters into a log", () => {
  const caller = new CallerHandshake(configOf(1), { uuid: uuidOf(2), nodeId: 2 }, "messages");
  const [type, payload] = frameOf(
    encodeFrame(frameTypes.refused, (writer) => writer.text("no\nfatal: \u001b[31mforged")),
  );

  expect(reasonOf(caller.onFrame(type, payload))).toBe("no?fatal: ?[31mforged");
});
