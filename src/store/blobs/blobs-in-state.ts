import { Database } from "bun:sqlite";
import type { RecordKind } from "../../engine/records.ts";

const kind: RecordKind = "blobs";

/** Hashes of the blobs that the jobs of a stored state use. */
export function blobsInState(path: string): string[] {
  const db = new Database(path, { readonly: true });
  try {
    const rows = db.query<{ key: string }, [string]>("SELECT key FROM records WHERE kind = ?");
    return rows.all(kind).map(({ key }) => key);
  } finally {
    db.close();
  }
}
