/**
 * Which members of 0.3 calls are refused with UNSUPPORTED. Unknown members of those calls are ignored, but these ask for
 * something that this server cannot do, such as running an agent: ignored, the job would be run as one of another kind. A value
 * that asks for nothing (null, "", 0, an empty list) is let through.
 */
import { CorvoError } from "../base/errors.ts";

const newJobMembers = ["chain_id", "chain_step", "chain_config", "agent"] as const;

export function refuseUnsupportedJob(spec: object): void {
  refuse(spec, newJobMembers);
}

/** No job here is an agent job, and 0.3 refuses an agent's verdict on any other. */
export function refuseAgentVerdict(body: object): void {
  const verdict = (body as { readonly agent_status?: unknown }).agent_status;
  if (!isDemand(verdict)) return;
  throw new CorvoError(
    "ACK_ERROR",
    `agent_status: ${JSON.stringify(verdict)} was sent, but the job is not an agent job`,
    { hint: "Leave agent_status out." },
  );
}

function refuse(value: object, members: readonly string[]): void {
  for (const member of members) {
    if (!isDemand((value as Readonly<Record<string, unknown>>)[member])) continue;
    throw new CorvoError("UNSUPPORTED", `${member}: this server cannot do what it asks for`, {
      details: { path: member },
    });
  }
}

function isDemand(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === 0) return false;
  return !Array.isArray(value) || value.length > 0;
}
