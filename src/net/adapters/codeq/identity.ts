/**
 * Who calls: codeQ knows workers by the subject of their token, and gives them no lease ids. Here the token is a name and
 * no proof; keeping strangers out is the server's matter.
 */
import { CryptoHasher } from "bun";

const anonymous = "codeq-anonymous";

export function workerOf(authorization: string | null): string {
  const token = authorization?.replace(/^bearer\s+/i, "").trim() ?? "";
  if (token === "") return anonymous;
  const subject = subjectOf(token);
  if (subject !== undefined) return subject;
  return `codeq-${new CryptoHasher("sha256").update(token).digest("hex").slice(0, 16)}`;
}

/** Of a JSON web token; a token of any other kind has none. */
function subjectOf(token: string): string | undefined {
  const claims = token.split(".")[1];
  if (claims === undefined) return undefined;
  try {
    const { sub } = JSON.parse(Buffer.from(claims, "base64url").toString()) as { sub?: unknown };
    return typeof sub === "string" && sub !== "" && sub.length <= 256 ? sub : undefined;
  } catch {
    return undefined;
  }
}
