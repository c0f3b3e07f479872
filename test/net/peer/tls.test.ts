import { expect, test } from "bun:test";
import { createMessage } from "../../../src/raft/message.ts";
import { createAuthority, whyNoCertificates } from "../../support/certificates.ts";
import { connectAll, openPeerNode, type PeerNode, uuidOf } from "../../support/peer-node.ts";
import { exchange } from "../../support/socket.ts";
import { tempDir } from "../../support/temp-dir.ts";

const reason = whyNoCertificates();
if (reason !== undefined) process.stderr.write(`TLS between peers is not tested: ${reason}\n`);

const here = "IP:127.0.0.1";

/** Lets node 1 send something to node 2; resolves with "delivered", or why it was not. */
async function outcome(one: PeerNode, two: PeerNode): Promise<string> {
  one.transport.setPeers(new Map([[2, two.address()]]));
  one.transport.send(2, 1, [createMessage("MsgHeartbeat", 2, { from: 1 })]);
  await one.until("something came of it", () => {
    return two.deliveries.length > 0 || one.peer(2).lastFailure !== undefined;
  });
  return two.deliveries.length > 0 ? "delivered" : (one.peer(2).lastFailure ?? "");
}

test.skipIf(reason !== undefined)(
  "[P60] with mutual TLS, nodes of one authority talk, large messages and both ways",
  async () => {
    using files = tempDir();
    const authority = createAuthority(files.path);
    const tls = () => ({ ...authority.issue(here), ca: authority.ca, requireClientCert: true });
    using one = openPeerNode(1, { tls: tls() });
    using two = openPeerNode(2, { tls: tls() });
    connectAll([one, two]);
    const data = crypto.getRandomValues(new Uint8Array(65_536));
    const entries = Array.from({ length: 200 }, (_, at) => {
      return { term: 1, index: at + 1, type: "EntryNormal" as const, data };
    });

    for (let at = 0; at < 3; at += 1) {
      one.transport.send(2, 1, [createMessage("MsgApp", 2, { from: 1, entries })]);
      two.transport.send(1, 1, [createMessage("MsgApp", 1, { from: 2, entries })]);
    }
    for (const node of [one, two]) {
      await node.until("all came", () => node.deliveries.length === 3);
      expect(node.deliveries.at(-1)?.message.entries).toEqual(entries);
    }
  },
);

test.skipIf(reason !== undefined)(
  "[P61] who shows no certificate, or one of another authority, is not let in",
  async () => {
    using files = tempDir();
    const authority = createAuthority(files.path);
    const stranger = createAuthority(files.path);
    const { ca } = authority;
    using two = openPeerNode(2, { tls: { ...authority.issue(here), ca, requireClientCert: true } });
    using foreign = openPeerNode(1, { tls: { ...stranger.issue(here), ca } });
    using plain = openPeerNode(1);

    expect(await outcome(foreign, two)).not.toBe("delivered");
    expect(await outcome(plain, two)).not.toBe("delivered");
    await exchange(`http://127.0.0.1:${two.port}`, "nonsense\n".repeat(100), () => false);
    await two.until("it said why", () =>
      two.lines.some((line) => line.includes("certificate is not trusted")),
    );
  },
);

test.skipIf(reason !== undefined)(
  "[P62] a node whose certificate is of another authority, or for another name, is not believed",
  async () => {
    using files = tempDir();
    const authority = createAuthority(files.path);
    const stranger = createAuthority(files.path);
    using two = openPeerNode(2, { tls: { ...authority.issue(here), ca: authority.ca } });
    using trusting = openPeerNode(1, { tls: { ...stranger.issue(here), ca: stranger.ca } });
    using naming = openPeerNode(1, {
      tls: { ...authority.issue(here), ca: authority.ca, serverName: "corvo-peer" },
    });

    expect(await outcome(trusting, two)).toContain("its certificate is not trusted");
    expect(await outcome(naming, two)).toContain("its certificate is not trusted");
  },
);

test.skipIf(reason !== undefined)(
  "[P62] one name for all nodes can stand in for their addresses",
  async () => {
    using files = tempDir();
    const authority = createAuthority(files.path);
    const tls = {
      ...authority.issue("DNS:corvo-peer"),
      ca: authority.ca,
      serverName: "corvo-peer",
    };
    using one = openPeerNode(1, { tls });
    using two = openPeerNode(2, { tls });

    expect(await outcome(one, two)).toBe("delivered");
  },
);

test.skipIf(reason !== undefined)(
  "[P63] a certificate that names a node is good for that node only, on either side",
  async () => {
    using files = tempDir();
    const authority = createAuthority(files.path);
    const tlsOf = (nodeId: number) => {
      const names = `${here},URI:urn:uuid:${uuidOf(nodeId)}`;
      return { ...authority.issue(names), ca: authority.ca, requireClientCert: true };
    };
    using one = openPeerNode(1, { tls: tlsOf(1) });
    using two = openPeerNode(2, { tls: tlsOf(2) });
    using thief = openPeerNode(1, { tls: tlsOf(3) });
    using impostor = openPeerNode(2, { tls: tlsOf(3) });
    const stolen = `showed the certificate of urn:uuid:${uuidOf(3)}`;

    expect(await outcome(one, two)).toBe("delivered");
    two.deliveries.length = 0;
    expect(await outcome(thief, two)).toContain(`node 1 (${uuidOf(1)}) ${stolen}`);
    one.transport.setPeers(new Map([[2, impostor.address()]]));
    await one.until("it is not believed", () => one.peer(2).lastFailure?.includes(stolen) === true);
  },
);
