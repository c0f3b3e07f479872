/** The index of texts under everything that can happen to it: whatever that is, a search finds what is there. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { defaultOptions } from "../../src/engine/options.ts";
import type { JobFilter } from "../../src/engine/query.ts";
import { createQueue } from "../../src/engine/state.ts";
import { JobSearcher, searchBudget } from "../../src/store/job-search.ts";
import { TextIndexer } from "../../src/store/text-indexer.ts";
import { buildAttempt, buildJob } from "../support/jobs.ts";
import { StateRig } from "../support/state-rig.ts";
import { tempDir } from "../support/temp-dir.ts";

const partJobs = 8;
const words = ["alpha", "beta", "gamma", "delta"] as const;
const wordArbitrary = fc.constantFrom(...words);

type Step =
  | { readonly kind: "add"; readonly word: string; readonly count: number }
  | { readonly kind: "fail"; readonly at: number; readonly word: string }
  | { readonly kind: "replace" | "restore"; readonly at: number; readonly word: string }
  | { readonly kind: "retain"; readonly share: number }
  | { readonly kind: "store" | "index" | "tidy" | "reopen" | "damage" | "remember" | "forget" };

const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("add" as const),
      word: wordArbitrary,
      count: fc.integer({ min: 1, max: 12 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom("fail" as const, "replace" as const, "restore" as const),
      at: fc.nat(1000),
      word: wordArbitrary,
    }),
  },
  fc.record({ kind: fc.constant("retain" as const), share: fc.integer({ min: 0, max: 100 }) }),
  { weight: 4, arbitrary: fc.constant({ kind: "store" as const }) },
  { weight: 5, arbitrary: fc.constant({ kind: "index" as const }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "tidy" as const,
        "reopen" as const,
        "damage" as const,
        "remember" as const,
        "forget" as const,
      ),
    }),
  },
);

/** A state, its index, and what is in them. */
class Rig {
  readonly #statePath: string;
  readonly textPath: string;
  readonly #kept: string;
  readonly rig: StateRig;
  readonly queue = createQueue("q", 1);
  readonly texts = new Map<number, { payload: string; errors: string[]; finish: number }>();
  readonly searcher: JobSearcher;
  indexer: TextIndexer;
  #index = 0;
  #seq = 0;
  #finish = 0;

  constructor(folder: string) {
    this.#statePath = join(folder, "state.db");
    this.textPath = join(folder, "text.db");
    this.#kept = join(folder, "kept.db");
    this.rig = new StateRig(this.#statePath, 0, undefined, true);
    this.rig.state.putQueue(this.queue);
    this.store();
    this.indexer = this.open();
    this.searcher = new JobSearcher(this.#statePath, {
      budget: { ...searchBudget, fewMax: 0 },
      nowMs: () => 0,
      textPath: this.textPath,
    });
  }

  open(breathe = () => {}): TextIndexer {
    return new TextIndexer(this.textPath, this.#statePath, { partJobs, breathe });
  }

  run(step: Step): void {
    const { state } = this.rig;
    switch (step.kind) {
      case "add":
        for (let i = 0; i < step.count; i++) this.#put(++this.#seq, step.word);
        break;
      case "fail": {
        const seq = this.#pick(step.at);
        const job = seq === undefined ? undefined : state.getJob(seq);
        if (job === undefined) break;
        const error = `Error of ${step.word}`;
        state.putJob({ ...job, history: job.history + 1 });
        state.putAttempt(buildAttempt({ seq: job.seq, ordinal: job.history, error }));
        this.texts.get(job.seq)?.errors.push(error);
        break;
      }
      case "replace": {
        const seq = this.#pick(step.at);
        if (seq !== undefined) this.#put(seq, step.word);
        break;
      }
      case "restore": {
        // Some number that had a job once.
        const seq = 1 + (step.at % Math.max(1, this.#seq));
        if (state.getJob(seq) !== undefined || this.#seq === 0) break;
        this.#put(seq, step.word);
        state.noteRestored(seq);
        break;
      }
      case "retain":
        state.meta.floor.done = Math.max(
          state.meta.floor.done,
          Math.floor((this.#finish * step.share) / 100),
        );
        for (const [seq, { finish }] of this.texts) {
          if (finish < state.meta.floor.done) this.texts.delete(seq);
        }
        break;
      case "store":
        this.store();
        break;
      case "index":
        this.indexer.step();
        this.rig.state.textTakenIn = this.indexer.position.change;
        break;
      case "tidy":
        while (this.rig.purge());
        this.indexer.tidyStep();
        break;
      case "reopen":
        this.indexer.close();
        this.indexer = this.open();
        break;
      case "damage":
        this.indexer.close();
        damage(this.textPath);
        this.indexer = this.open();
        break;
      case "remember":
        this.indexer.close();
        copyFileSync(this.textPath, this.#kept);
        this.indexer = this.open();
        break;
      case "forget":
        // What a power cut leaves: an earlier moment of the index beside a state that went on.
        if (!existsSync(this.#kept)) break;
        this.indexer.close();
        copyFileSync(this.#kept, this.textPath);
        this.indexer = this.open();
        break;
    }
  }

  store(): void {
    this.rig.state.touchQueue(this.queue);
    this.rig.checkpoint(++this.#index);
  }

  found(word: string): number[] {
    const seqs: number[] = [];
    let cursor: string | undefined;
    do {
      const page = this.searcher.page({
        filter: { words: [word] },
        sort: "created_at",
        descending: true,
        limit: 1000,
        ...(cursor === undefined ? {} : { cursor }),
      });
      seqs.push(...page.jobs.map((job) => job.seq));
      cursor = page.cursor;
    } while (cursor !== undefined);
    return seqs;
  }

  expected(word: string): number[] {
    const has = ({ payload, errors }: { payload: string; errors: string[] }) =>
      payload.includes(word) || errors.some((error) => error.includes(word));
    return [...this.texts]
      .filter(([, text]) => has(text))
      .map(([seq]) => seq)
      .sort((one, other) => other - one);
  }

  close(): void {
    this.searcher.close();
    this.indexer.close();
    this.rig.close();
  }

  #put(seq: number, word: string): void {
    const payload = JSON.stringify({ word });
    const known = this.rig.state.getJob(seq);
    const finish = known?.finish ?? ++this.#finish;
    this.rig.state.putJob(
      buildJob({
        seq,
        queue: "q",
        state: "completed",
        finish,
        payload,
        history: known?.history ?? 0,
        options: { ...defaultOptions, uniqueKey: `k${seq}`, onConflict: "replace" },
      }),
    );
    this.queue.counts.completed++;
    this.texts.set(seq, { payload, errors: this.texts.get(seq)?.errors ?? [], finish });
  }

  #pick(at: number): number | undefined {
    const seqs = [...this.texts.keys()];
    return seqs[at % Math.max(1, seqs.length)];
  }
}

/** Some pages in the middle are not what was written. */
function damage(path: string): void {
  const bytes = readFileSync(path);
  for (let at = 4096; at < bytes.length; at += 8192) bytes.fill(0x5a, at, at + 2048);
  writeFileSync(path, bytes);
}

test("[Q11] [Q13] a search finds every job whose text has the word, whatever becomes of the index", () => {
  fc.assert(
    fc.property(fc.array(stepArbitrary, { minLength: 5, maxLength: 60 }), (steps) => {
      using dir = tempDir();
      const rig = new Rig(dir.path);
      try {
        for (const [at, step] of steps.entries()) {
          rig.run(step);
          if (at % 5 > 0) continue;
          rig.store();
          for (const word of words) expect(rig.found(word)).toEqual(rig.expected(word));
        }
      } finally {
        rig.close();
      }
    }),
    { numRuns: 25 },
  );
}, 60_000);

test("[Q13] an index that was left to work ends up with everything, in parts, and loses those whose jobs are gone", () => {
  using dir = tempDir();
  const rig = new Rig(dir.path);
  for (let round = 0; round < 5; round++) rig.run({ kind: "add", word: "alpha", count: 12 });
  rig.store();

  while (rig.indexer.step());

  const parts = () => {
    const db = new Database(rig.textPath, { readonly: true });
    const rows = db.query("SELECT low, high, docs FROM parts ORDER BY id").values();
    db.close();
    return rows;
  };
  expect(rig.indexer.position.through).toBe(60);
  expect(parts()).toHaveLength(Math.ceil(60 / partJobs));

  rig.run({ kind: "retain", share: 50 });
  rig.store();
  rig.run({ kind: "tidy" });
  while (rig.indexer.tidyStep());
  for (let look = 0; look < 10; look++) rig.indexer.tidyStep();

  // Of the first half of the jobs only those are left that share a part with kept ones.
  expect(parts().length).toBeLessThanOrEqual(Math.ceil(31 / partJobs) + 1);
  expect(rig.found("alpha")).toEqual(rig.expected("alpha"));
  rig.close();
});

test("[Q13] the indexer can rest between any two jobs, and what has come in bit by bit is one segment in the end", () => {
  using dir = tempDir();
  const rig = new Rig(dir.path);
  let breaths = 0;
  rig.indexer.close();
  rig.indexer = rig.open(() => breaths++);

  for (let job = 1; job <= partJobs; job++) {
    rig.run({ kind: "add", word: "alpha", count: 1 });
    rig.store();
    rig.indexer.step();
    expect(breaths).toBeGreaterThanOrEqual(job);
  }

  const segmentsOf = (table: string) => {
    using db = new Database(rig.textPath, { readonly: true });
    return db.query(`SELECT DISTINCT segid FROM ${table}_idx`).values().length;
  };
  expect(segmentsOf("docs_1")).toBe(1);

  for (let change = 0; change < 40; change++) {
    rig.run({ kind: "fail", at: change, word: "beta" });
    rig.store();
    rig.indexer.step();
    // Four of a size make one.
    expect(segmentsOf("changed_1")).toBeLessThanOrEqual(9);
  }
  expect(rig.found("beta")).toEqual(rig.expected("beta"));
  expect(rig.found("alpha")).toEqual(rig.expected("alpha"));
  rig.close();
});

test("[Q13] jobs that were gone before the index came to them cost it nothing", () => {
  using dir = tempDir();
  const rig = new Rig(dir.path);
  rig.run({ kind: "add", word: "alpha", count: 40 });
  rig.run({ kind: "retain", share: 90 });
  rig.store();

  while (rig.indexer.step());

  const db = new Database(rig.textPath, { readonly: true });
  const { docs } = db.query("SELECT total(docs) AS docs FROM parts").get() as { docs: number };
  db.close();
  expect(docs).toBe(rig.texts.size);
  rig.close();
});

test("[Q11] an index that cannot be opened is as good as none to searches, whatever they ask for", () => {
  using dir = tempDir();
  const statePath = join(dir.path, "state.db");
  const rig = new StateRig(statePath, 0);
  const queue = createQueue("q", 1);
  rig.state.putQueue(queue);
  rig.state.putJob(buildJob({ seq: 1, queue: "q", payload: '"alpha"' }));
  queue.counts.pending = 1;
  rig.checkpoint(1);
  const textPath = join(dir.path, "text.db");
  mkdirSync(textPath);
  const searcher = new JobSearcher(statePath, { budget: searchBudget, nowMs: () => 0, textPath });
  const page = (filter: JobFilter) =>
    searcher.page({ filter, sort: "created_at", descending: true, limit: 10 });

  expect(page({}).jobs).toHaveLength(1);
  expect(page({ words: ["alpha"] }).jobs).toHaveLength(1);

  searcher.close();
  rig.close();
});
