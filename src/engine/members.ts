/** The nodes of the cluster as replicated data: who they are and where they are reached. Voting is consensus' own matter. */
import type { AdmitMember, ForgetMember, RaiseFeatureLevel, SetStandby } from "./change.ts";
import type { Core } from "./core.ts";
import { levelOfVersion, packedLevel, versionOfLevel } from "./feature-levels.ts";
import { engineLimits } from "./limits.ts";
import { type Outcome, reject } from "./outcome.ts";

export function admitMember(core: Core, change: AdmitMember): Outcome {
  const { meta } = core.state;
  const { uuid, httpUrl, peerAddress, version } = change;
  if (levelOfVersion(version) < meta.featureLevel) {
    return reject(
      "UNSUPPORTED",
      `node ${uuid} runs version "${version}", and the cluster uses what only ${versionOfLevel(meta.featureLevel)} and later know (feature level ${meta.featureLevel})`,
    );
  }
  const known = meta.members.find((member) => member.uuid === uuid);
  if (known === undefined && meta.members.length >= engineLimits.membersMax) {
    return reject(
      "LIMIT_EXCEEDED",
      `the cluster has ${meta.members.length} nodes; at most ${engineLimits.membersMax} (membersMax)`,
    );
  }
  const id = known?.id ?? meta.nextMemberId++;
  const others = meta.members.filter((member) => member.uuid !== uuid);
  const standby = known?.standby ?? false;
  meta.members = [...others, { id, uuid, httpUrl, peerAddress, version, standby }].sort(
    (one, other) => one.id - other.id,
  );
  return { kind: "member", id };
}

export function forgetMember(core: Core, change: ForgetMember): Outcome {
  const { meta } = core.state;
  meta.members = meta.members.filter((member) => member.id !== change.id);
  return { kind: "ok" };
}

export function setStandby(core: Core, change: SetStandby): Outcome {
  const { meta } = core.state;
  if (!meta.members.some((member) => member.id === change.id)) {
    return reject("NOT_FOUND", `no node ${change.id}`);
  }
  meta.members = meta.members.map((member) =>
    member.id === change.id ? { ...member, standby: change.standby } : member,
  );
  return { kind: "ok" };
}

/** Every node must know the level: one that does not would end at the first change of it. */
export function raiseFeatureLevel(core: Core, change: RaiseFeatureLevel): Outcome {
  const { meta } = core.state;
  if (change.level <= meta.featureLevel) return { kind: "ok" };
  const behind = meta.members.find((member) => levelOfVersion(member.version) < change.level);
  if (behind !== undefined) {
    return reject(
      "UNSUPPORTED",
      `node ${behind.id} runs version "${behind.version}", which does not know feature level ${change.level}`,
    );
  }
  meta.featureLevel = change.level;
  // Counted from here on by all replicas alike: what is there was never counted by older programs.
  if (change.level >= packedLevel) meta.bytesFrom ??= meta.nextNumber;
  return { kind: "ok" };
}
