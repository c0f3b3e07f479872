/**
 * What a filter asks of the index of texts: an expression that the text of every matching job satisfies. Words may also
 * stand in the name of a queue, which is not part of a job's text, so the jobs of such queues are candidates besides.
 */
import type { Database } from "bun:sqlite";
import { foldCase } from "../base/fold.ts";
import type { JobFilter, PayloadCondition } from "../engine/query.ts";
import { matchOf, usualText } from "./text-schema.ts";

export interface TextAsk {
  readonly match: string;
  /** Values of payload members are asked for, which may be written in unusual ways. */
  readonly withOdd: boolean;
  /** Ids of queues whose jobs may match whatever their text. */
  readonly queues: readonly number[];
  /** Members of the filter that the expression is made from. */
  readonly members: readonly (keyof JobFilter)[];
}

/** With more queues that a word stands in the name of, the index of texts narrows nothing down. */
const queuesMax = 16;

/** Undefined when the index is of no help. */
export function textAskOf(db: Database, filter: JobFilter): TextAsk | undefined {
  const asker = new TextAsker(db);
  const match = asker.matchOfFilter(filter);
  const { withOdd, queues } = asker;
  if (match === undefined || queues.size > queuesMax) return undefined;
  return { match, withOdd, queues: [...queues], members: asker.members };
}

class TextAsker {
  readonly #db: Database;
  withOdd = false;
  readonly queues = new Set<number>();
  members: (keyof JobFilter)[] = [];

  constructor(db: Database) {
    this.#db = db;
  }

  matchOfFilter(filter: JobFilter): string | undefined {
    const parts: string[] = [];
    this.members = [];
    const add = (member: keyof JobFilter, found: readonly (string | undefined)[]) => {
      const usable = found.filter((part) => part !== undefined);
      if (usable.length > 0 && !this.members.includes(member)) this.members.push(member);
      parts.push(...usable);
    };
    const { payloadContains, errorContains } = filter;
    add(
      "words",
      (filter.words ?? []).map((word) => this.#word(word)),
    );
    if (payloadContains !== undefined) add("payloadContains", [matchOf(payloadContains)]);
    if (errorContains !== undefined) add("errorContains", [matchOf(errorContains)]);
    add(
      "tags",
      Object.entries(filter.tags ?? {})
        .flat()
        .map(matchOfValue),
    );
    add(
      "payloadWhere",
      (filter.payloadWhere ?? []).map((one) => this.#condition(one)),
    );
    const { members } = this;
    for (const group of filter.any ?? []) {
      const found = group.map((one) => this.matchOfFilter(one));
      this.members = members;
      if (found.length > 0 && found.every((one) => one !== undefined)) {
        parts.push(found.map((one) => `(${one})`).join(" OR "));
        if (!members.includes("any")) members.push("any");
      }
    }
    this.members = members;
    return parts.length === 0 ? undefined : parts.map((part) => `(${part})`).join(" AND ");
  }

  #word(word: string): string | undefined {
    const wanted = foldCase(word);
    const rows = this.#db.query("SELECT id, name FROM queues").values() as [number, string][];
    for (const [id, name] of rows) {
      if (!foldCase(name).includes(wanted)) continue;
      this.queues.add(id);
      if (this.queues.size > queuesMax) break;
    }
    return matchOf(word);
  }

  #condition({ operator, of, value }: PayloadCondition): string | undefined {
    if (of !== undefined) return undefined;
    if (operator !== "=" && operator !== "startsWith" && operator !== "contains") return undefined;
    const match = matchOfValue(value);
    if (match !== undefined) this.withOdd = true;
    return match;
  }
}

function matchOfValue(value: unknown): string | undefined {
  const text = usualText(value);
  return text === undefined ? undefined : matchOf(text);
}
