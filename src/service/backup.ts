/** What backups need from the node. */
export interface BackupControl {
  /**
   * Everything that was acknowledged before the call, or of these queues, as a file in pieces. Rejects with a CorvoError when it
   * cannot begin; when it cannot go on later, the pieces end with an error.
   */
  create(queues: readonly string[] | undefined): Promise<AsyncIterable<Uint8Array>>;
  /** The jobs and queues as one JSON document, in pieces. */
  document(queues: readonly string[] | undefined): Promise<AsyncIterable<string>>;
}
