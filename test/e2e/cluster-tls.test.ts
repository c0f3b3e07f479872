/** Clusters whose nodes show each other certificates. */
import { expect, test } from "bun:test";
import { Server } from "../support/binary.ts";
import { whyNoCertificates } from "../support/certificates.ts";
import { Cluster, until } from "../support/cluster/cluster.ts";
import { fill, firstIndex } from "../support/cluster/cluster-steps.ts";

const reason = whyNoCertificates();
if (reason !== undefined) process.stderr.write(`clusters with TLS are not tested: ${reason}\n`);

test.skipIf(reason !== undefined)(
  "[P60] nodes with certificates form a cluster, send each other whole states, and lose nothing with their leader",
  async () => {
    await using cluster = await Cluster.of(3, { tls: true, words: ["--log-tail", "20"] });
    const leader = await cluster.leader();
    const [away] = await cluster.followers();
    if (away === undefined) throw new Error("there is no follower");

    await away.kill();
    await fill(leader, 150);
    await until("the log has been shortened", async () => {
      // It lets go of what the state has stored, which is so at once for a listing.
      await leader.json("POST", "/api/v1/jobs/search", { queue: "q", limit: 1 });
      return firstIndex(leader) > 100;
    });
    await away.start();
    await cluster.level();
    await leader.kill();
    const next = await cluster.leader(20_000);
    await leader.start();
    await cluster.settled(3);

    expect(away.said).toContain("a newer state was received");
    expect(next.name).not.toBe(leader.name);
    const [queue] = await next.json<{ pending: number }[]>("GET", "/api/v1/queues");
    expect(queue?.pending).toBe(150);
  },
  60_000,
);

test.skipIf(reason !== undefined)(
  "[P64] a node without a certificate is refused before it is a member, and so is one with a certificate where nobody else has one",
  async () => {
    for (const tls of [true, false]) {
      await using cluster = await Cluster.create({ tls: true });
      const first = await cluster.add({ plain: !tls });
      await first.start();
      const other = await cluster.add({ plain: tls });

      const run = await cluster.place.run(other.words);

      expect(run.code).toBe(5);
      const did = tls ? "without" : "with";
      expect(run.stderr).toContain(`was started ${did} --peer-tls-cert, and the nodes here show`);
      expect((await first.status()).nodes).toHaveLength(1);
    }
  },
  30_000,
);

test.skipIf(reason !== undefined)(
  "[P64] a member that is started without its certificate is told from one that cannot be reached",
  async () => {
    await using cluster = await Cluster.of(2, { tls: true });
    const leader = await cluster.leader();
    const [other] = await cluster.followers();
    if (other === undefined) throw new Error("there is no follower");
    await other.stop();
    const words = other.words.filter(
      (word, at) => !`${other.words[at - 1]} ${word}`.includes("--peer-tls-"),
    );

    const plain = new Server(cluster.place.start(words, {}));
    await plain.listening;
    await until(
      "both sides say why",
      async () =>
        leader.said.includes("it does not use TLS (was it started without --peer-tls-cert?)") &&
        plain.stderr.includes("it uses TLS, and this node was started without --peer-tls-cert"),
    );
    await plain.stop("SIGKILL");
  },
  30_000,
);
