/** Calls of shards that other nodes lead, over their HTTP API. Nothing is sent twice: whether to is the caller's to say. */
import type { Operation } from "../../api/operation.ts";
import { type OperationName, type Operations, operations, Reply } from "../../api/operations.ts";
import { shardHeader } from "../../api/shard-header.ts";
import { forwardedHeader } from "../../net/http/hops.ts";
import { fetchLong } from "../../net/outbound/fetch-long.ts";
import { type CallOptions, type Client, createClient } from "../../sdk/client.ts";
import type { RemoteShards } from "../../service/shards/shard-calls.ts";
import { systemRandom, systemTimers } from "../_shared/system.ts";
import { openRemoteStream } from "./remote-stream.ts";

/** Addresses of nodes that were ever called; there are as many as the cluster had nodes. */
const clientsMax = 256;

export function createRemoteShards(): RemoteShards {
  const soon = createClients((request) => fetch(request));
  const waiting = createClients(fetchWaiting);
  return {
    async call({ url, shard, name }, input, signal) {
      const operation: Operation = operations[name];
      let status = operation.status;
      const mayRepeat = operation.method === "GET" || operation.read || operation.waits;
      const clientOf = operation.waits ? waiting : soon;
      const result = await methodOf(clientOf(url), name)(input, {
        // A write that was sent is left to end, whoever went away: nobody would know what became of it.
        ...(mayRepeat ? { signal } : {}),
        // That a key makes repeating harmless is for the caller to use: here it must know what may have happened.
        mayRepeat,
        headers: { [shardHeader]: String(shard), [forwardedHeader]: "1" },
        onStatus: (given) => {
          status = given;
        },
      });
      return status === operation.status ? result : new Reply(status, result);
    },
    openStream: openRemoteStream,
  };
}

function createClients(send: (request: Request) => Promise<Response>): (url: string) => Client {
  const clients = new Map<string, Client>();
  return (url) => {
    const known = clients.get(url);
    if (known !== undefined) return known;
    if (clients.size >= clientsMax) clients.clear();
    const client = createClient({
      server: url,
      fetch: send,
      random: systemRandom,
      timers: systemTimers,
      retry: { attemptsMax: 1 },
    });
    clients.set(url, client);
    return client;
  };
}

async function fetchWaiting(request: Request): Promise<Response> {
  const { url, method, signal } = request;
  const body = await request.bytes();
  const headers = new Headers(request.headers);
  // What comes is read as it is.
  headers.set("accept-encoding", "identity");
  return fetchLong(url, { method, headers, signal, ...(body.length === 0 ? {} : { body }) });
}

type AnyMethod<Name extends OperationName> = (
  input: unknown,
  options: CallOptions,
) => Promise<Operations[Name]["result"]["static"]>;

/** The input was checked when the call came in; that it fits the method cannot be followed from name to type. */
function methodOf<Name extends OperationName>(client: Client, name: Name): AnyMethod<Name> {
  return client[name] as unknown as AnyMethod<Name>;
}
