/** What this executable was built from. `scripts/build-binaries.ts` defines the commit. */
import { version } from "../../../package.json";

declare const CORVO_BUILD_COMMIT: string | undefined;

export const buildVersion: string = version;
export const buildCommit: string =
  typeof CORVO_BUILD_COMMIT === "string" ? CORVO_BUILD_COMMIT : "uncommitted";

export function versionLine(): string {
  return `corvo ${buildVersion} (${buildCommit})`;
}
