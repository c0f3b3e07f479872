/** Handlers of backups. */
import { Streamed } from "../api/operation.ts";
import type { Handlers } from "../api/operations.ts";
import type { BackupControl } from "./backup.ts";

export function createBackupHandlers(backup: BackupControl): Pick<Handlers, "createBackup"> {
  return {
    async createBackup({ query }) {
      const queues = query.queues?.split(",").filter((name) => name !== "");
      return new Streamed(await backup.create(queues?.length === 0 ? undefined : queues));
    },
  };
}
