/**
 * A join token: which cluster, and its secret if it has one, in one word that can be copied and pasted.
 *
 *   corvo1.<base64url of the JSON {"cluster": ID, "secret": TEXT}>.<CRC-32 of that, eight hex digits>
 *
 * `corvo1` is the version of the format. The checksum tells a word that was cut off or mistyped from one of another cluster.
 */
import { BadValue, type Reader } from "./readers.ts";

export interface JoinToken {
  readonly clusterId: string;
  readonly secret: string | undefined;
}

const version = "corvo1";
const lengthMax = 8192;

export function formatJoinToken({ clusterId, secret }: JoinToken): string {
  const text = JSON.stringify({ cluster: clusterId, secret });
  const body = Buffer.from(text).toString("base64url");
  return `${version}.${body}.${checksum(body)}`;
}

/** The text is not repeated in errors: it may hold a secret. */
export const readJoinToken: Reader<JoinToken> = (text) => {
  const [prefix, body = "", crc = "", ...rest] = text.trim().split(".");
  if (text.length > lengthMax || prefix === undefined || !/^corvo\d+$/.test(prefix)) {
    throw bad("this is no join token");
  }
  if (prefix !== version) {
    throw bad(`the join token is of format ${prefix}, this program reads ${version}`);
  }
  if (rest.length > 0 || crc !== checksum(body)) throw bad("the join token is damaged or cut off");
  return contentOf(body);
};

function contentOf(body: string): JoinToken {
  const value: unknown = JSON.parse(Buffer.from(body, "base64url").toString("utf8"));
  if (typeof value !== "object" || value === null) throw bad("the join token is empty");
  const { cluster, secret } = value as { readonly cluster?: unknown; readonly secret?: unknown };
  if (typeof cluster !== "string" || (secret !== undefined && typeof secret !== "string")) {
    throw bad("the join token names no cluster");
  }
  return { clusterId: cluster, secret };
}

function checksum(body: string): string {
  return Bun.hash.crc32(body).toString(16).padStart(8, "0");
}

function bad(what: string): BadValue {
  return new BadValue(what, "`corvo cluster token` prints one.");
}
