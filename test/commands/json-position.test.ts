import { expect, test } from "bun:test";
import fc from "fast-check";
import { jsonProblem } from "../../src/commands/_shared/json-position.ts";

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

test("a problem is found where a document stops being JSON, never later than its end", () => {
  const piece = fc.constantFrom(
    ...'{}[],:"\\-0123456789.eE+tfn ',
    "true",
    "false",
    "null",
    '"a"',
    "\n",
    "\\u00e9",
    "\u0001",
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const text = pieces.join("");
      const problem = jsonProblem(text);

      expect(problem === undefined).toBe(isJson(text));
      if (problem === undefined) return;
      expect(problem.offset).toBeLessThanOrEqual(text.length);
      if (problem.offset === text.length) expect(problem.message).not.toContain("expected the end");
    }),
    { numRuns: 5000 },
  );
});

test("cutting a document short is reported at the cut", () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(), (text, seed) => {
      const cut = text.slice(0, seed % text.length);
      if (isJson(cut)) return;

      expect(jsonProblem(cut)?.offset).toBe(wordStart(cut));
    }),
  );
});

/** A cut word such as `tru` is wrong from its start. */
function wordStart(text: string): number {
  const word = /(?<!\d)[a-z]+$/.exec(text);
  const isWhole = word === null || ["true", "false", "null"].includes(word[0]);
  return isWhole || inString(text) ? text.length : word.index;
}

function inString(text: string): boolean {
  let open = false;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\\" && open) at++;
    else if (text[at] === '"') open = !open;
  }
  return open;
}
