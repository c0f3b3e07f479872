/**
 * The filter language: from text to the filter that every search takes (`docs/reference/filters.md`).
 *
 *   filter     = group { "OR" group }
 *   group      = term { ["AND"] term }
 *   term       = [ "-" | "NOT" ] ( "(" filter ")" | condition | word )
 *   condition  = field operator value { "," value }      without blanks between them
 *   word       = what is no condition, or anything in quotes
 *
 * A name followed by an operator is a field, known or not: a slip in a name is an error and never a word to search for.
 */
import { nearest } from "../../base/suggest.ts";
import { filterLimits } from "../../engine/limits.ts";
import type { JobFilter } from "../../engine/query.ts";
import { type Operator, TextCursor, type Written } from "./cursor.ts";
import { type FieldEnv, fields, listed, Misfit, otherNames, otherStates } from "./fields.ts";
import { joinFilters } from "./join.ts";

export const sortNames = {
  created: "created_at",
  priority: "priority",
  started: "started_at",
  completed: "completed_at",
  attempt: "attempt",
} as const;

export interface ParsedFilter {
  readonly filter: JobFilter;
  /** The order that the text asks for. */
  readonly sort: (typeof sortNames)[keyof typeof sortNames] | undefined;
  readonly order: "asc" | "desc" | undefined;
}

export function parseFilter(text: string, env: FieldEnv): ParsedFilter {
  return new FilterParser(text, env).parse();
}

class FilterParser {
  readonly #cursor: TextCursor;
  readonly #env: FieldEnv;
  #depth = 0;
  #terms = 0;
  #sort: ParsedFilter["sort"];
  #order: ParsedFilter["order"];

  constructor(text: string, env: FieldEnv) {
    this.#cursor = new TextCursor(text);
    this.#env = env;
  }

  parse(): ParsedFilter {
    const cursor = this.#cursor;
    cursor.skipBlanks();
    const filter = cursor.isAtEnd ? {} : this.#alternatives();
    if (!cursor.isAtEnd) throw cursor.wrong("this bracket closes nothing", cursor.at);
    return { filter, sort: this.#sort, order: this.#order };
  }

  #alternatives(): JobFilter {
    const found = [this.#group()];
    while (this.#cursor.takeKeyword("OR")) found.push(this.#group());
    const [only] = found;
    return found.length === 1 && only !== undefined ? only : { any: [found] };
  }

  #group(): JobFilter {
    const cursor = this.#cursor;
    const parts: JobFilter[] = [];
    let hasTerm = false;
    for (;;) {
      cursor.skipBlanks();
      const at = cursor.at;
      if (hasTerm && cursor.takeKeyword("AND")) {
        cursor.skipBlanks();
      } else if (cursor.isAtEnd || cursor.next === ")" || (hasTerm && this.#isAtOr())) {
        if (!hasTerm) throw cursor.wrong("a condition or a word is missing", at);
        return joinFilters(parts);
      }
      parts.push(this.#term());
      hasTerm = true;
    }
  }

  #isAtOr(): boolean {
    const { at } = this.#cursor;
    const isOr = this.#cursor.takeKeyword("OR");
    this.#cursor.at = at;
    return isOr;
  }

  #term(): JobFilter {
    const cursor = this.#cursor;
    const at = cursor.at;
    this.#terms++;
    if (this.#terms > filterLimits.partsMax) {
      throw cursor.wrong(`more than ${filterLimits.partsMax} conditions (filterPartsMax)`, at);
    }
    if (cursor.take("-") || cursor.takeKeyword("NOT")) {
      cursor.skipBlanks();
      return this.#nested(() => this.#negated());
    }
    if (!cursor.take("(")) return this.#condition() ?? this.#word();
    return this.#nested(() => this.#bracketed(at));
  }

  #nested(read: () => JobFilter): JobFilter {
    const cursor = this.#cursor;
    this.#depth++;
    if (this.#depth > filterLimits.depthMax) {
      throw cursor.wrong(
        `deeper than ${filterLimits.depthMax} brackets (filterDepthMax)`,
        cursor.at,
      );
    }
    const filter = read();
    this.#depth--;
    return filter;
  }

  #bracketed(at: number): JobFilter {
    const filter = this.#alternatives();
    if (!this.#cursor.take(")")) throw this.#cursor.wrong("the bracket is not closed", at);
    return filter;
  }

  #negated(): JobFilter {
    const cursor = this.#cursor;
    const at = cursor.at;
    if (cursor.take("(")) return { not: [this.#bracketed(at)] };
    if (cursor.next === "-" || cursor.isAtEnd) {
      throw cursor.wrong("a condition or a word must follow a minus", at);
    }
    return negationOf(this.#condition() ?? this.#word());
  }

  /** Undefined when what stands here is no condition. */
  #condition(): JobFilter | undefined {
    const cursor = this.#cursor;
    const at = cursor.at;
    const name = cursor.match(/[A-Za-z_]\w*/);
    const { path, bracketAt } = this.#path(name === undefined);
    const operator = name === undefined ? undefined : cursor.operator();
    if (name === undefined || operator === undefined) {
      cursor.at = at;
      return undefined;
    }
    if (bracketAt !== undefined) {
      throw cursor.wrong(
        "an element of a list is named as in payload.items.0; a name with brackets stands in quotes",
        bracketAt,
      );
    }
    if (name === "sort") return this.#sorted(at);
    return this.#compared({ name, path, operator, at });
  }

  /** Names behind the first, and where one of them has a bracket that stands in no quotes. */
  #path(isNone: boolean): { readonly path: string[]; readonly bracketAt: number | undefined } {
    const cursor = this.#cursor;
    const path: string[] = [];
    let bracketAt: number | undefined;
    while (!isNone && cursor.take(".")) {
      if (path.length >= filterLimits.pathMax) {
        throw cursor.wrong(
          `a path of more than ${filterLimits.pathMax} names (filterPathMax)`,
          cursor.at,
        );
      }
      const nameAt = cursor.at;
      const isQuoted = cursor.next === '"';
      const name = isQuoted ? cursor.quoted() : cursor.match(/[^\s.:=<>!~^#*()",]+/);
      if (name === undefined) break;
      if (!isQuoted && /[[\]]/.test(name)) bracketAt ??= nameAt;
      path.push(name);
    }
    return { path, bracketAt };
  }

  #compared(one: {
    readonly name: string;
    readonly path: readonly string[];
    readonly operator: Operator;
    readonly at: number;
  }): JobFilter {
    const cursor = this.#cursor;
    const name = this.#known(one.name, one.at);
    if (one.path.length > 0 && name !== "tag" && name !== "payload") {
      throw cursor.wrong(`${name} has no members`, one.at);
    }
    // A payload's != is a comparison of its own: between the values there are.
    const isNegated = one.operator === "!~" || (one.operator === "!=" && name !== "payload");
    const operator = isNegated ? (one.operator.replace("!", "") as Operator) : one.operator;
    const values = this.#values(listed.has(name));
    const found = values.map((value) => {
      try {
        return fields[name]?.({ operator, value, path: one.path }, this.#env) ?? {};
      } catch (error) {
        if (error instanceof Misfit) throw cursor.wrong(error.message, value.at);
        throw error;
      }
    });
    const filter = oneOf(found);
    return isNegated ? negationOf(filter) : filter;
  }

  #known(name: string, at: number): string {
    const known = otherNames[name] ?? name;
    if (Object.hasOwn(fields, known)) return known;
    const names = [...Object.keys(fields), ...Object.keys(otherNames), "sort"];
    const near = nearest(name, names);
    const meant = near === undefined ? "" : `; did you mean ${near}?`;
    throw this.#cursor.wrong(
      `there is no field "${name}"${meant}`,
      at,
      `Fields are ${Object.keys(fields).join(", ")}. In quotes, it is text to search for.`,
    );
  }

  #values(isList: boolean): Written[] {
    const cursor = this.#cursor;
    const values: Written[] = [];
    do {
      // Who writes == or :> means an operator that is none, and a minus before it would turn that into everything.
      if (/[=<>]/.test(cursor.next)) {
        throw cursor.wrong(`a value that begins with ${cursor.next} stands in quotes`, cursor.at);
      }
      const value = cursor.value();
      if (value === undefined) {
        throw cursor.wrong("a value is missing; one with blanks stands in quotes", cursor.at);
      }
      values.push(value);
      if (values.length > filterLimits.partsMax) {
        throw cursor.wrong(`more than ${filterLimits.partsMax} values (filterPartsMax)`, value.at);
      }
    } while (isList && cursor.take(","));
    if (cursor.next === ",")
      throw cursor.wrong("one value only; one with a comma stands in quotes", cursor.at);
    return values;
  }

  #sorted(at: number): JobFilter {
    const cursor = this.#cursor;
    const match = /^([a-z_]+?)(?:_at)?(?:\.(asc|desc))?$/.exec(cursor.value()?.text ?? "");
    const name = match?.[1] ?? "";
    if (!Object.hasOwn(sortNames, name)) {
      const names = Object.keys(sortNames).join(", ");
      throw cursor.wrong(`sort goes by ${names}, each with .asc or .desc behind it if wanted`, at);
    }
    if (this.#depth > 0 || this.#sort !== undefined) {
      throw cursor.wrong("there is one order, and it stands outside of brackets", at);
    }
    this.#sort = sortNames[name as keyof typeof sortNames];
    this.#order = match?.[2] as ParsedFilter["order"];
    return {};
  }

  #word(): JobFilter {
    const cursor = this.#cursor;
    const value = cursor.word();
    if (value === undefined) throw cursor.wrong("a condition or a word is missing", cursor.at);
    if (value.text.trim() === "")
      throw cursor.wrong("there is nothing between the quotes", value.at);
    return { words: [value.text] };
  }
}

/** Filters of one field, of which one must hold. */
function oneOf(found: readonly JobFilter[]): JobFilter {
  const [only] = found;
  if (found.length === 1 && only !== undefined) return only;
  const states = found.flatMap((filter) => filter.states ?? []);
  return states.length > 0 ? { states: [...new Set(states)] } : { any: [found] };
}

/** States and errors have an opposite that is a filter itself, which a search can do more with. */
function negationOf(filter: JobFilter): JobFilter {
  const members = Object.keys(filter);
  if (members.length === 1 && filter.states !== undefined) {
    return { states: otherStates(filter.states) };
  }
  if (members.length === 1 && filter.hasErrors !== undefined) {
    return { hasErrors: !filter.hasErrors };
  }
  return { not: [filter] };
}
