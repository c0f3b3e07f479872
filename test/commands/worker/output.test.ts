import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  ByteTail,
  LineSplitter,
  lastLines,
  type Mark,
  MarkFilter,
} from "../../../src/commands/worker/output.ts";

const bytesOf = (text: string) => new TextEncoder().encode(text);
const textOf = (chunks: readonly Uint8Array[]) => Buffer.concat(chunks).toString();

/** Text with line breaks, wide characters and the beginnings of progress lines, and places to cut it. */
const output = fc.record({
  parts: fc.array(
    fc.oneof(
      fc.constantFrom(
        "\n",
        "é",
        "\u{1f600}",
        "::corvo ",
        "::cor",
        "::corvo progress 3/10 go\n",
        "x",
      ),
      fc.string({ maxLength: 8 }),
    ),
    { maxLength: 30 },
  ),
  cuts: fc.array(fc.nat({ max: 200 }), { maxLength: 12 }),
});

function chunksOf(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].sort(
    (a, b) => a - b,
  );
  return ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
}

function filter(chunks: readonly Uint8Array[]) {
  const progress: string[] = [];
  const marks: Mark[] = [];
  const rest: Uint8Array[] = [];
  const filtering = new MarkFilter(
    (mark) => {
      if (mark.kind === "progress") progress.push(mark.value.text);
      else marks.push(mark);
    },
    (bytes) => rest.push(bytes.slice()),
  );
  for (const chunk of chunks) filtering.add(chunk);
  filtering.end();
  return { progress, marks, rest: textOf(rest) };
}

describe("lines about how the job ended", () => {
  test.each<[string, Mark]>([
    ["::corvo snooze 30s", { kind: "snooze", delayMs: 30_000 }],
    ["::corvo snooze 1h30m \r", { kind: "snooze", delayMs: 5_400_000 }],
    ["::corvo error-class Bad Input", { kind: "errorClass", name: "Bad Input" }],
  ])("%j is taken out of the output", (line, mark) => {
    expect(filter([bytesOf(`${line}\n`)])).toEqual({ progress: [], marks: [mark], rest: "" });
  });

  test.each(["::corvo snooze", "::corvo snooze soon", "::corvo error-class", " ::corvo snooze 1s"])(
    "%j is output like any other",
    (line) => {
      expect(filter([bytesOf(`${line}\n`)])).toMatchObject({ marks: [], rest: `${line}\n` });
    },
  );
});

describe("progress lines", () => {
  test("however the output is cut, the same lines are progress and the rest is unchanged", () => {
    fc.assert(
      fc.property(output, ({ parts, cuts }) => {
        const text = parts.join("").toWellFormed();
        const lines = text.split(/(?<=\n)/);
        const isProgress = (line: string) => /^::corvo progress 3\/10 go[^\S\n]*\n?$/.test(line);

        const { progress, marks, rest } = filter(chunksOf(bytesOf(text), cuts));

        const others = lines.filter((line) => !/^::corvo progress \d/.test(line));
        expect(progress.length).toBeGreaterThanOrEqual(lines.filter(isProgress).length);
        for (const line of others) expect(rest).toContain(line);
        expect(filter([bytesOf(text)])).toEqual({ progress, marks, rest });
      }),
    );
  });

  test.each([
    ["::corvo progress 3/10 resizing now", '{"current":3,"total":10,"message":"resizing now"}'],
    ["::corvo progress 3/10", '{"current":3,"total":10}'],
    ["::corvo progress 0.5/1\r", '{"current":0.5,"total":1}'],
    ["::corvo progress 42", '{"current":42}'],
    ["::corvo progress 42 files", '{"current":42,"message":"files"}'],
  ])("%j is progress", (line, json) => {
    expect(filter([bytesOf(`${line}\n`)])).toMatchObject({ progress: [json], rest: "" });
  });

  test.each([
    ["no numbers", "::corvo progress"],
    ["words", "::corvo progress half"],
    ["a sign", "::corvo progress -1/2"],
    ["white space before it", " ::corvo progress 1/2"],
    ["another word", "::corvo other 1/2"],
    ["more than 8 KiB", `::corvo progress 1/2 ${"x".repeat(9000)}`],
  ])("a line with %s is output", (_, line) => {
    expect(filter([bytesOf(line)])).toEqual({ progress: [], marks: [], rest: line });
  });
});

describe("the tail of an output", () => {
  test("is the end of what was written, within the limit, and valid text", () => {
    fc.assert(
      fc.property(output, fc.integer({ min: 4, max: 40 }), ({ parts, cuts }, bytesMax) => {
        const text = parts.join("").toWellFormed();
        const tail = new ByteTail(bytesMax);
        for (const chunk of chunksOf(bytesOf(text), cuts)) tail.add(chunk);

        const kept = tail.text();

        expect(text.endsWith(kept)).toBe(true);
        expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(bytesMax);
        expect(Buffer.byteLength(kept)).toBeGreaterThan(
          Math.min(bytesMax, Buffer.byteLength(text)) - 4,
        );
      }),
    );
  });

  test("replaces what is not UTF-8 and stays within the limit", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.integer({ min: 3, max: 40 }),
        (bytes, bytesMax) => {
          const tail = new ByteTail(bytesMax);
          tail.add(bytes);

          expect(Buffer.byteLength(tail.text())).toBeLessThanOrEqual(bytesMax);
          expect(tail.text().isWellFormed()).toBe(true);
        },
      ),
    );
  });

  test("of lines is cut by number and by length", () => {
    expect(lastLines("a\nb\nc\n\n", 2, 100)).toBe("b\nc");
    expect(lastLines("abcdef", 2, 3)).toBe("def");
    expect(lastLines("x\u{1f600}", 1, 1)).toBe("");
  });
});

test("lines are the same however the output is cut", () => {
  fc.assert(
    fc.property(output, ({ parts, cuts }) => {
      const text = parts.join("").toWellFormed();
      const lines: string[] = [];
      const splitter = new LineSplitter((line) => lines.push(line));
      for (const chunk of chunksOf(bytesOf(text), cuts)) splitter.add(chunk);
      splitter.end();

      const expected = text.split("\n");
      if (expected.at(-1) === "") expected.pop();
      expect(lines).toEqual(expected);
    }),
  );
});

test("a line over the limit comes in pieces", () => {
  const pieces: [string, boolean][] = [];
  const splitter = new LineSplitter((line, isWhole) => pieces.push([line, isWhole]), 4);

  splitter.add(bytesOf("abcdefghi\nxy\n"));

  expect(pieces).toEqual([
    ["abcd", false],
    ["efgh", false],
    ["i", true],
    ["xy", true],
  ]);
});
