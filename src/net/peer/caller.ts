/**
 * Calls a node: connects, shakes hands, and hands over a connection that is proven. All of it within one time limit.
 * Exactly one of `ready` and `failed` is called, later and once, unless the call is cancelled before.
 */
import { type Connection, dial } from "./connection.ts";
import { nameFault, type PeerAddress, type PeerDeps } from "./deps.ts";
import { CallerHandshake, type HandshakeStep, type KnownPeer, type Purpose } from "./handshake.ts";
import { peerLimits } from "./limits.ts";

interface CallTarget extends PeerAddress {
  readonly nodeId: number;
  readonly purpose: Purpose;
}

interface CallEvents {
  /** The connection is the receiver's from now on: it sets `events` at once. */
  ready(connection: Connection, peer: KnownPeer): void;
  failed(reason: string): void;
}

/** Returns a function that cancels the call. */
export function callPeer(deps: PeerDeps, target: CallTarget, events: CallEvents): () => void {
  let connection: Connection | undefined;
  let isOver = false;
  const finish = () => {
    isOver = true;
    stopTimer();
  };
  const fail = (reason: string) => {
    if (isOver) return;
    finish();
    events.failed(reason);
    connection?.close(reason);
  };
  const stopTimer = deps.timers.after(peerLimits.handshakeMs, () =>
    fail(`no handshake within ${peerLimits.handshakeMs} ms`),
  );
  const shake = new CallerHandshake(deps.handshake, target, target.purpose);
  const onStep = (step: HandshakeStep, opened: Connection) => {
    if (step.kind !== "ready" && step.bytes !== undefined) opened.write(step.bytes);
    if (step.kind === "reply") return;
    if (step.kind === "failed") return fail(step.reason);
    const fault = nameFault(opened.certificateNames(), step.peer);
    if (fault !== undefined) return fail(fault);
    finish();
    opened.allowLargeFrames();
    events.ready(opened, step.peer);
  };
  const adopt = (opened: Connection) => {
    if (isOver) return opened.abort("the call was cancelled");
    connection = opened;
    opened.events = {
      opened: () => opened.write(shake.start()),
      frame: (type, payload) => onStep(shake.onFrame(type, payload), opened),
      ended: fail,
    };
  };
  dial(target, deps.tls, adopt, fail);
  return () => {
    if (isOver) return;
    finish();
    connection?.abort("the call was cancelled");
  };
}
