/** Handlers of backups. */
import { Streamed } from "../api/operation.ts";
import type { Handlers } from "../api/operations.ts";
import { CorvoError } from "../base/errors.ts";
import type { BackupControl } from "./backup.ts";
import { shorten } from "./node.ts";

export function createBackupHandlers(
  backup: BackupControl,
): Pick<Handlers, "createBackup" | "adminBackup"> {
  return {
    createBackup: async ({ query }) => new Streamed(await backup.create(namesIn(query.queues))),
    async adminBackup({ query: { namespace = "default", queues } }) {
      if (namespace !== "default" && namespace !== "") {
        throw new CorvoError(
          "UNSUPPORTED",
          `namespace: this server has only "default", and "${shorten(namespace)}" was named`,
        );
      }
      return new Streamed(await backup.document(namesIn(queues)));
    },
  };
}

function namesIn(text: string | undefined): readonly string[] | undefined {
  const names = text?.split(",").filter((name) => name !== "") ?? [];
  return names.length === 0 ? undefined : [...new Set(names)];
}
