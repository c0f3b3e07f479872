/** Worker that copies the state database while others go on writing it: a snapshot to send to a node that lags. */
import { Database } from "bun:sqlite";
import { fdatasyncSync, rmSync, statSync } from "node:fs";
import { copyState } from "./state-copy.ts";

export interface SnapshotRequest {
  readonly statePath: string;
  readonly target: string;
}

export type SnapshotReply =
  | { readonly kind: "made"; readonly index: number; readonly conf: string; readonly bytes: number }
  | { readonly kind: "fault"; readonly message: string };

declare const self: Worker;

self.onmessage = (event: MessageEvent<SnapshotRequest>) => {
  let reply: SnapshotReply;
  try {
    reply = make(event.data);
  } catch (error) {
    rmSync(event.data.target, { force: true });
    reply = { kind: "fault", message: error instanceof Error ? error.message : String(error) };
  }
  self.postMessage(reply);
};

/** The copy is one consistent checkpoint: rows, applied index and membership were written in one transaction. */
function make({ statePath, target }: SnapshotRequest): SnapshotReply {
  copyState(statePath, target, (fd) => {
    const startedMs = performance.now();
    fdatasyncSync(fd);
    Bun.sleepSync(Math.max(1, performance.now() - startedMs));
  });
  const copy = new Database(target, { readonly: true });
  try {
    const value = (key: string) =>
      (copy.query("SELECT value FROM meta WHERE key = ?").get(key) as { value: string } | null)
        ?.value;
    return {
      kind: "made",
      index: Number(value("applied") ?? 0),
      conf: value("conf") ?? "",
      bytes: statSync(target).size,
    };
  } finally {
    copy.close(true);
  }
}
