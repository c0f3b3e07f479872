/**
 * Looking for a text in payloads. SQL finds it in those that are kept as their text; a compressed one is let through by
 * the condition, whatever it holds, and then unpacked and looked at here. Bytes and blobs are no text and never match.
 */
import type { Database } from "bun:sqlite";
import { jsonOf } from "../base/stored-value.ts";

/** A condition with one parameter, the text. */
export const payloadCondition =
  "(CASE WHEN substr(payload, 1, 1) = '~' THEN substr(payload, 2, 1) = 'j' ELSE instr(payload, ?) > 0 END)";

/**
 * Tells of a candidate whether the text is really there. `orElse` is a condition that makes it match in another way.
 */
export function payloadAcceptor(
  db: Database,
  text: string,
  orElse: { readonly text: string; readonly values: readonly (string | number)[] } = {
    text: "FALSE",
    values: [],
  },
): (seq: number) => boolean {
  const select = db.query<{ payload: string; matches: number }, (string | number)[]>(
    `SELECT payload, (${orElse.text}) IS TRUE AS matches FROM jobs WHERE seq = ? AND substr(payload, 1, 1) = '~'`,
  );
  return (seq) => {
    const row = select.get(...orElse.values, seq);
    return row === null || row.matches === 1 || jsonOf(row.payload)?.includes(text) === true;
  };
}
