/** A process in which the receiver of a peer message throws. It must end by that, and does not end otherwise. */
import { createMessage } from "../../src/raft/message.ts";
import { connectAll, openPeerNode } from "./peer-node.ts";

const one = openPeerNode(1);
const two = openPeerNode(2, {
  onMessages: () => {
    throw new Error("a broken invariant");
  },
});
connectAll([one, two]);
one.transport.send(2, 1, [createMessage("MsgHeartbeat", 2, { from: 1 })]);
