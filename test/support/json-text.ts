/** Random JSON texts for property tests: spacing, escapes, repeated keys and odd numbers that a writer would not make. */
import type { TSchema } from "@sinclair/typebox";
import fc from "fast-check";

const space = fc.constantFrom("", "", "", " ", "\n\t", "\r\n  ");
const oddKeys = [
  "__proto__",
  "constructor",
  "0",
  "1",
  "length",
  "payload",
  "result",
  "tags",
  "a\nb",
  "",
];

export const keyName = fc.oneof(
  fc.constantFrom(...oddKeys),
  fc.string({ unit: "binary", maxLength: 8 }),
);

/** A string as JSON, with some characters escaped that need not be. */
export const stringText = (value: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(value, fc.boolean()).map(([text, escaped]) => {
    const plain = JSON.stringify(text);
    if (!escaped) return plain;
    return plain.replaceAll(/[a-z/]/g, (found, at: number) =>
      plain[at - 1] === "\\" || /\\u[0-9a-f]{0,3}$/.test(plain.slice(Math.max(0, at - 5), at))
        ? found
        : `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`,
    );
  });

export const numberText = fc.oneof(
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
  fc.constantFrom(
    "1.0",
    "-0",
    "-0.0",
    "1e400",
    "-1E+999",
    "12345678901234567890",
    "1e-400",
    "0.10",
  ),
);

export const scalarText = fc.oneof(
  fc.constantFrom("null", "true", "false", '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"'),
  numberText,
  stringText(fc.string({ unit: "binary", maxLength: 12 })),
);

const objectOf = (members: fc.Arbitrary<readonly (readonly [string, string])[]>) =>
  fc.tuple(members, space, space).map(([pairs, before, after]) => {
    const inner = pairs.map(([key, value]) => `${before}${key}${after}:${before}${value}`);
    return `{${inner.join(`${after},`)}${before}}`;
  });

const arrayOf = (items: fc.Arbitrary<readonly string[]>) =>
  fc.tuple(items, space).map(([list, gap]) => `[${gap}${list.join(`,${gap}`)}${gap}]`);

/** Any JSON text. */
export const jsonText: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    scalarText,
    arrayOf(fc.array(tie("value"), { maxLength: 4 })),
    objectOf(fc.array(fc.tuple(stringText(keyName), tie("value")), { maxLength: 4 })),
  ),
})).value;

/** Texts that mostly fit a schema, with something wrong in them now and then. */
export function textFor(schema: TSchema): fc.Arbitrary<string> {
  return fc.oneof({ weight: 30, arbitrary: fitting(schema) }, { weight: 1, arbitrary: jsonText });
}

function fitting(schema: TSchema): fc.Arbitrary<string> {
  if (schema["anyOf"] !== undefined) {
    return fc.oneof(...(schema["anyOf"] as TSchema[]).map((variant) => textFor(variant)));
  }
  if (schema["const"] !== undefined) return fc.constant(JSON.stringify(schema["const"]));
  switch (schema["type"]) {
    case "object":
      return objectOf(membersFor(schema));
    case "array":
      return arrayOf(fc.array(textFor(schema["items"] as TSchema), { minLength: 1, maxLength: 3 }));
    case "string":
      return fc.oneof(
        { weight: 6, arbitrary: stringText(fc.stringMatching(patternOf(schema))) },
        { weight: 1, arbitrary: stringText(fc.string({ unit: "binary", maxLength: 600 })) },
      );
    case "integer":
    case "number":
      return fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 1, max: 200 }).map(String) },
        { weight: 1, arbitrary: numberText },
      );
    case "boolean":
      return fc.constantFrom("true", "false");
    case "null":
      return fc.constant("null");
    default:
      return jsonText;
  }
}

/** Short plain words, unless the schema wants something of another shape. */
function patternOf(schema: TSchema): RegExp {
  const plain = /^[a-z][a-z0-9/:.-]{0,5}$/;
  const wanted = schema["pattern"] as string | undefined;
  return wanted === undefined || new RegExp(wanted).test("word") ? plain : new RegExp(wanted);
}

function membersFor(schema: TSchema): fc.Arbitrary<(readonly [string, string])[]> {
  const [inner] = Object.values((schema["patternProperties"] ?? {}) as Record<string, TSchema>);
  if (inner !== undefined) {
    return fc.array(fc.tuple(stringText(keyName), textFor(inner)), { maxLength: 3 });
  }
  const required = new Set((schema["required"] ?? []) as string[]);
  const properties = Object.entries(schema["properties"] as Record<string, TSchema>);
  // Of many members few are there, or there would be something wrong with nearly every text.
  const share = Math.min(26, Math.ceil(260 / Math.max(1, properties.length)));
  const members = properties.map(([name, member]) =>
    fc
      .tuple(textFor(member), fc.integer({ min: 0, max: 99 }))
      .map(([text, chance]): (readonly [string, string])[] => {
        const times =
          chance < 4 ? 2 : required.has(name) ? (chance < 6 ? 0 : 1) : chance < 4 + share ? 1 : 0;
        return Array.from({ length: times }, () => [JSON.stringify(name), text] as const);
      }),
  );
  const unknown = fc.array(fc.tuple(stringText(keyName), jsonText), { maxLength: 1 });
  return fc.tuple(...members, unknown).map((lists) => lists.flat());
}
