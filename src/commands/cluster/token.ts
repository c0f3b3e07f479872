/**
 * The server gives its secret to nobody, so the token is made here, from the secret that this command is given; the server
 * says whether it is the right one.
 */
import { CorvoError } from "../../base/errors.ts";
import { command } from "../_shared/command.ts";
import { formatJoinToken } from "../_shared/join-token.ts";

/** Who asks is no node; the proof is made for this address. */
const nowhere = "127.0.0.1:1";

export default command({
  details:
    "A new node takes it as --token or, better, as CORVO_JOIN_TOKEN, with --join. It has the cluster's id, so that the node joins no other cluster, and its secret: keep it like a password. The server never tells its secret, so this command takes it from CORVO_CLUSTER_SECRET or --cluster-secret, and has the server check it.\nA token does not expire. To revoke it, change the secret of the cluster: docs/operations/cluster.md says how, while it serves.",
  examples: [
    { line: "corvo cluster token", says: "With the secret in CORVO_CLUSTER_SECRET" },
    {
      line: 'CORVO_JOIN_TOKEN="$(corvo cluster token -q)" corvo server --join 10.0.0.7',
      says: "Straight into a new node",
    },
  ],
  args: {
    "cluster-secret": {
      type: "string",
      description:
        "Secret of the cluster. Default CORVO_CLUSTER_SECRET, which other users cannot see.",
      valueHint: "TEXT",
    },
  },
  async run(args, { client, globals, output, signal, system }) {
    const secret = args["cluster-secret"] ?? (system.env["CORVO_CLUSTER_SECRET"] || undefined);
    const { joinProof } = await import("../server/secret.ts");
    const uuid = crypto.randomUUID();
    const proof = joinProof(secret, uuid, nowhere);
    const body = { uuid, http_url: `http://${nowhere}`, peer_address: nowhere, expect: 1 };
    const input = { body: proof === undefined ? body : { ...body, proof } };
    const met = await client()
      .meetNode(input, { signal })
      .catch((error: unknown) => {
        throw explain(error, secret);
      });
    if (met.cluster_id === undefined) {
      throw new CorvoError("UNAVAILABLE", "the node belongs to no cluster yet");
    }
    const isSecured = met.has_secret === true;
    const token = formatJoinToken({
      clusterId: met.cluster_id,
      secret: isSecured ? secret : undefined,
    });
    if (output.json) {
      const answer = { token, cluster_id: met.cluster_id, has_secret: isSecured };
      output.line(JSON.stringify(answer));
      return undefined;
    }
    output.line(token);
    if (!isSecured) {
      output.warn(
        "this cluster has no secret, so the token only names it: whoever reaches its HTTP port can join. Without CORVO_CLUSTER_SECRET on every node it has to stay on one machine.",
      );
    }
    const [server] = globals.server.split(",");
    output.note(`on the new machine: CORVO_JOIN_TOKEN=${token} corvo server --join ${server}`);
    return undefined;
  },
});

function explain(error: unknown, secret: string | undefined): unknown {
  if (!(error instanceof CorvoError) || error.code !== "UNAUTHORIZED") return error;
  const message =
    secret === undefined
      ? "this cluster has a secret, and it was not given"
      : "this is not the secret of the cluster";
  return new CorvoError("UNAUTHORIZED", message, {
    hint: "Set CORVO_CLUSTER_SECRET to what the servers have.",
  });
}
