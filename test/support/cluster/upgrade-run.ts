/**
 * A cluster of an older program goes over to this tree's under load, node by node, as the operator's page says. On its way
 * it is mixed: what only the new program knows is refused, and a node may still go back. At its end it is not: the level
 * has risen by itself, the new things work, and the old program is kept out. Where the older program knows the same level, a
 * mixed cluster does all that either can, and nodes may go back at any time. Nothing that was acknowledged is lost.
 */
import { levelOfVersion, newestFeatureLevel } from "../../../src/engine/feature-levels.ts";
import { Cluster, type ClusterNode, until } from "./cluster.ts";
import { nextWrite, underLoad } from "./nemesis-run.ts";

export interface UpgradeOptions {
  /** Path of the older executable. */
  readonly old: string;
  readonly seed: number;
  readonly onStep: (sentence: string) => void;
}

type Run = Awaited<ReturnType<typeof underLoad<void>>>;

/** Something that the newest level brought. */
const path = "/api/v1/webhooks";
const webhook = {
  id: "wh_upgraded",
  url: "https://example.org/",
  events: ["dead"],
  enabled: false,
};

export async function upgradeRun({ old, seed, onStep }: UpgradeOptions): Promise<Run> {
  await using cluster = await Cluster.create();
  for (let i = 0; i < 3; i++) {
    const node = await cluster.add();
    node.program = old;
    await node.start();
  }
  const { nodes } = await (await cluster.settled(3)).status();
  const isGated = nodes.some(({ version }) => levelOfVersion(version) < newestFeatureLevel);
  const probe = (asked: ClusterNode, when: string) =>
    isGated ? refused(cluster, asked, when) : accepted(cluster);
  onStep(`three nodes of the old program, ${isGated ? "of an older" : "of the same"} level`);
  return await underLoad(cluster, seed, async (load) => {
    const busy = async () => {
      const { answered } = load;
      await until("clients are busy", async () => load.answered > answered + 150);
    };
    const replace = async (node: ClusterNode, program: string | undefined) => {
      await node.stop();
      node.program = program;
      await node.start();
      await cluster.settled(3, 30_000);
      await nextWrite(cluster);
      await busy();
    };
    await busy();
    const [first, second] = await cluster.followers();
    const last = await cluster.leader();
    if (first === undefined || second === undefined) throw new Error("there are no two followers");

    await replace(first, undefined);
    onStep(`${first.name} runs the new program`);
    await probe(last, "under a leader of the old program");
    await leads(cluster, first);
    onStep(`${first.name} leads nodes of the old program`);
    await probe(first, "under a leader of the new program");
    await busy();
    await replace(first, old);
    onStep(`${first.name} went back to the old program`);

    for (const node of [first, second]) await replace(node, undefined);
    onStep("one node of the old program is left");
    await probe(last, "while a node of the old program is left");
    await replace(last, undefined);
    const level = await raised(cluster);
    onStep(`all nodes run the new program, feature level ${level}`);
    await accepted(cluster);
    if (isGated) {
      await keptOut(cluster, { node: first, old });
      onStep("the old program is kept out");
    } else {
      for (const program of [old, undefined]) await replace(first, program);
      onStep(`${first.name} went back to the old program once more, and over again`);
    }
    await cluster.settled(3, 30_000);
    onStep(`all nodes tell the same ${await toldAlike(cluster)} events`);
  });
}

/** Hands leadership to the node, if it has not got it. */
async function leads(cluster: Cluster, node: ClusterNode): Promise<void> {
  await until(`${node.name} leads`, async () => {
    const leader = await cluster.leader();
    if (leader === node) return true;
    await leader.request("POST", "/api/v1/cluster/transfer-leader", { node: String(node.id) });
    return false;
  });
}

/** What the new program adds does not get into the log, whichever node is asked; and the cluster goes on. */
async function refused(cluster: Cluster, asked: ClusterNode, when: string): Promise<void> {
  const answer = await asked.request("POST", path, webhook);
  // A program that has never heard of webhooks has no such path; an older leader refuses with 501.
  const isRefused = [404, 422, 501].includes(answer.status);
  const named = answer.status === 404 || answer.text.includes("needs feature level");
  if (!isRefused || !named) {
    throw new Error(`a webhook was not refused ${when}: ${answer.status} ${answer.text}`);
  }
  await nextWrite(cluster);
}

/** The level that all nodes say, once it is the newest. */
async function raised(cluster: Cluster): Promise<number> {
  return until("the feature level has risen on all nodes", async () => {
    const views = await Promise.all(cluster.running.map((node) => node.status()));
    const levels = new Set(views.map((view) => view.feature_level ?? 1));
    const [level = 1] = levels;
    return levels.size === 1 && level === newestFeatureLevel ? level : undefined;
  });
}

async function accepted(cluster: Cluster): Promise<void> {
  const leader = await cluster.leader();
  await leader.json("POST", path, webhook);
  await leader.json("DELETE", `${path}/${webhook.id}`);
}

/** Nodes that came to the newest level at different entries would count differently from then on. */
async function toldAlike(cluster: Cluster): Promise<number> {
  const pages = await Promise.all(
    cluster.running.map((node) =>
      node.json<{ events: object[] }>("GET", "/api/v1/cluster/events?limit=1000"),
    ),
  );
  // One may have applied more than another.
  const count = Math.min(...pages.map(({ events }) => events.length));
  for (let i = 0; i < count; i++) {
    const told = pages.map(({ events }) => JSON.stringify(events[i]));
    if (new Set(told).size > 1) throw new Error(`nodes tell different events: ${told.join(" ")}`);
  }
  return count;
}

/** Neither on its directory nor as a new node does the older program take part any more. */
async function keptOut(
  cluster: Cluster,
  { node, old }: { node: ClusterNode; old: string },
): Promise<void> {
  await node.stop();
  const again = await cluster.place.run(node.words, { program: old });
  if (again.code === 0 || !again.stderr.includes(`format ${newestFeatureLevel}`)) {
    throw new Error(`the old program started on a new directory: ${again.code} ${again.stderr}`);
  }
  await node.start();
  const joiner = await cluster.add();
  cluster.nodes.splice(cluster.nodes.indexOf(joiner), 1);
  const joining = await cluster.place.run(joiner.words, { program: old });
  if (joining.code === 0 || !joining.stderr.includes("or later")) {
    throw new Error(`a node of the old program joined: ${joining.code} ${joining.stderr}`);
  }
}
