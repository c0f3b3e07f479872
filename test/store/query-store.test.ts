import { expect, test } from "bun:test";
import { join } from "node:path";
import { CorvoError } from "../../src/base/errors.ts";
import type { JobPageRequest } from "../../src/engine/query.ts";
import { createQueue } from "../../src/engine/state.ts";
import { searchBudget } from "../../src/store/job-search.ts";
import { QueryStore, searchWaitingMax } from "../../src/store/query-store.ts";
import { startWorker } from "../../src/store/start-worker.ts";
import { buildJob } from "../support/jobs.ts";
import { StateRig } from "../support/state-rig.ts";
import { tempDir } from "../support/temp-dir.ts";

const request: JobPageRequest = {
  filter: {},
  sort: "created_at",
  descending: true,
  limit: 50,
};

function openRig(path: string): StateRig {
  const rig = new StateRig(path, 0);
  const queue = createQueue("a", 1);
  rig.state.putQueue(queue);
  for (let seq = 1; seq <= 100; seq++) rig.state.putJob(buildJob({ seq }));
  queue.counts.pending = 100;
  return rig;
}

test("[Q1] a search sees what was written before it, because it flushes first", async () => {
  using dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = openRig(path);
  let index = 0;
  const store = await QueryStore.open(path, { flush: async () => rig.checkpoint(++index) });

  const page = await store.page(request);
  const seqs = await store.seqs({}, { afterSeq: 10, beforeSeq: 90, limit: 100 });
  const text = await store.page({ ...request, filter: { words: ['"N":1'] }, limit: 3 });

  expect(page.total).toBe(100);
  expect(page.jobs).toHaveLength(50);
  expect(seqs).toHaveLength(79);
  expect(text.jobs.map((job) => job.seq)).toEqual([100, 99, 98]);
  await store.close();
  rig.close();
});

test("[Q10] sequence numbers come complete over many steps, with other searches in between", async () => {
  using dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = openRig(path);
  rig.checkpoint(1);
  const store = await QueryStore.open(path, {
    flush: async () => {},
    budget: { ...searchBudget, rowsMax: 3 },
  });
  const order: string[] = [];

  const long = store
    .seqs({ payloadContains: "n" }, { afterSeq: 0, beforeSeq: 1000, limit: 1000 })
    .finally(() => order.push("long"));
  const short = store.page({ ...request, limit: 1 }).finally(() => order.push("short"));

  expect(await long).toHaveLength(100);
  await short;
  expect(order).toEqual(["short", "long"]);
  await store.close();
  rig.close();
});

test("a search that makes no sense is refused with its code and hint, and the next one works", async () => {
  using dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = openRig(path);
  rig.checkpoint(1);
  const store = await QueryStore.open(path, { flush: async () => {} });

  const error = await store.page({ ...request, cursor: "nonsense" }).catch((caught) => caught);

  expect(error).toBeInstanceOf(CorvoError);
  expect((error as CorvoError).code).toBe("SEARCH_ERROR");
  expect((error as CorvoError).hint).toContain("cursor");
  expect((await store.page(request)).total).toBe(100);
  await store.close();
  rig.close();
});

test("[Q12] one search more than may wait is refused; those that wait are answered", async () => {
  using dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = openRig(path);
  rig.checkpoint(1);
  const gate = Promise.withResolvers<void>();
  const store = await QueryStore.open(path, { flush: () => gate.promise });

  const waiting = Array.from({ length: searchWaitingMax }, () => store.page(request));
  const refused = await store.page(request).catch((caught) => caught);
  gate.resolve();

  expect((refused as CorvoError).code).toBe("OVERLOADED");
  expect((refused as CorvoError).message).toContain("searchWaitingMax");
  expect((await Promise.all(waiting)).every((page) => page.total === 100)).toBe(true);
  expect((await store.page(request)).total).toBe(100);
  await store.close();
  rig.close();
});

test("a failed flush fails the search and nothing else", async () => {
  using dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = openRig(path);
  rig.checkpoint(1);
  let fails = true;
  const store = await QueryStore.open(path, {
    flush: async () => {
      if (fails) throw new CorvoError("READ_ONLY", "the disk is full");
    },
  });

  const error = await store.page(request).catch((caught) => caught);
  fails = false;

  expect((error as CorvoError).code).toBe("READ_ONLY");
  expect((await store.page(request)).total).toBe(100);
  await store.close();
  rig.close();
});

test("closing ends open searches, refuses later ones and can be repeated", async () => {
  using dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = openRig(path);
  rig.checkpoint(1);
  const store = await QueryStore.open(path, {
    flush: async () => {},
    budget: { ...searchBudget, rowsMax: 1 },
  });
  const open = store
    .seqs({}, { afterSeq: 0, beforeSeq: 1000, limit: 1000 })
    .catch((caught) => caught);

  await store.close();
  await store.close();

  expect(((await open) as CorvoError).code).toBe("UNAVAILABLE");
  const later = await store.page(request).catch((caught) => caught);
  expect((later as CorvoError).code).toBe("UNAVAILABLE");
  rig.close();
});

test("a database that does not exist is reported at opening", async () => {
  using dir = tempDir();

  const error = await QueryStore.open(join(dir.path, "none.db"), { flush: async () => {} }).catch(
    (caught) => caught,
  );

  expect(error).toBeInstanceOf(CorvoError);
});

test("[Q14] a search thread that ends fails the searches it had, and the next one has another", async () => {
  await using opened = await openWithThreads();
  const { store, threads, notes, over } = opened;

  const lost = store.page(request).catch((caught) => caught);
  threads[0]?.terminate();
  const error = await lost;
  await over;

  expect((error as CorvoError).code).toBe("UNAVAILABLE");
  expect((await store.page(request)).total).toBe(100);
  expect(threads).toHaveLength(2);
  expect(notes).toHaveLength(1);
});

test("[Q14] a search thread that failed and then ended is lost once: the one after it keeps its searches", async () => {
  await using opened = await openWithThreads();
  const { store, threads, notes, over } = opened;

  threads[0]?.dispatchEvent(new ErrorEvent("error", { message: "out of memory" }));
  const page = store.page(request);
  await over;

  expect((await page).total).toBe(100);
  expect((await store.page(request)).total).toBe(100);
  expect(threads).toHaveLength(2);
  expect(notes).toHaveLength(1);
});

/** A store whose search threads are in the test's hands; `over` is the end of the first one. */
async function openWithThreads() {
  const dir = tempDir();
  const path = join(dir.path, "state.db");
  const rig = openRig(path);
  rig.checkpoint(1);
  const threads: Worker[] = [];
  const notes: string[] = [];
  const store = await QueryStore.open(path, {
    flush: async () => {},
    start: () => {
      const thread = startWorker("query");
      threads.push(thread);
      return thread;
    },
    onNote: (note) => notes.push(note),
  });
  const over = new Promise((resolve) => threads[0]?.addEventListener("close", resolve));
  return {
    ...{ store, threads, notes, over },
    async [Symbol.asyncDispose]() {
      await store.close();
      rig.close();
      dir[Symbol.dispose]();
    },
  };
}
