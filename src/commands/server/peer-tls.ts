/** Nodes show each other certificates, or none of them does: one that differs could not be reached by the others. */
import { CorvoError } from "../../base/errors.ts";

/** Refuses a node before it is a member that nobody can talk to. Older versions do not say what they do. */
export function checkPeerTls(
  usesTls: boolean,
  { uuid, peerTls = usesTls }: { readonly uuid: string; readonly peerTls?: boolean },
): void {
  if (peerTls === usesTls) return;
  throw usesTls
    ? new CorvoError(
        "CONFLICT",
        `node ${uuid} was started without --peer-tls-cert, and the nodes here show each other certificates`,
        {
          hint: "Start it with --peer-tls-cert, --peer-tls-key and --peer-tls-ca, signed by the authority of the others.",
        },
      )
    : new CorvoError(
        "CONFLICT",
        `node ${uuid} was started with --peer-tls-cert, and the nodes here show each other no certificates`,
        { hint: "Start all nodes with --peer-tls-cert, or all of them without." },
      );
}
