/** The rules of docs/spec/flow.md on batches, and on children that are cancelled with their parents, with lists and scans. */
import { formatGroupId, parseGroupId, parseJobId } from "../../src/base/ids.ts";
import type { BatchState } from "../../src/engine/batches.ts";
import type { NewBatch, NewJob } from "../../src/engine/change.ts";
import { isFinished } from "../../src/engine/job.ts";
import type { JobOptions } from "../../src/engine/options.ts";
import type { GroupKeeper } from "./naive-groups.ts";
import type { ModelJob } from "./naive-job.ts";

type Place = "pending" | "completed" | "dead" | "cancelled";

interface ModelBatch {
  readonly seq: number;
  readonly createdAtMs: number;
  readonly spec: NewBatch;
  readonly places: Map<number, Place>;
  state: BatchState;
  sealAtMs: number;
  finishedAtMs: number;
  callbacks: { of: string; seq: number }[];
}

export interface BelongingHost {
  readonly nowMs: () => number;
  readonly takeNumber: () => number;
  readonly jobs: () => readonly ModelJob[];
  readonly cancel: (job: ModelJob) => void;
  /** Adds a job that follows the end of a batch; its number. */
  readonly add: (spec: NewJob) => number;
  /** Something to be done after the change, a step at a time; false when nothing was left to do. */
  readonly later: (step: () => boolean) => void;
}

export class NaiveBelonging implements GroupKeeper {
  readonly #host: BelongingHost;
  #batches: ModelBatch[] = [];

  constructor(host: BelongingHost) {
    this.#host = host;
  }

  /** The code with which a job is refused that names a batch or a parent. */
  refusal(options: Partial<JobOptions> | undefined): string | undefined {
    const { batchId, parentId, cascadeCancel } = options ?? {};
    if (batchId !== undefined) {
      const batch = this.#byId(batchId);
      if (batch === undefined) return "NOT_FOUND";
      if (batch.state !== "open") return "BATCH_ERROR";
    }
    if (parentId === undefined || parentId.startsWith("$")) return undefined;
    const parsed = parseJobId(parentId);
    const parent = this.#host.jobs().find(({ seq }) => seq === parsed?.seq);
    if (parent === undefined || parent.createdAtMs !== parsed?.createdAtMs) return "NOT_FOUND";
    return cascadeCancel === true && parent.state === "cancelled" ? "PARENT_ERROR" : undefined;
  }

  /** Number and id of the new batch. */
  begin(spec: NewBatch): { readonly seq: number; readonly id: string } {
    const seq = this.#host.takeNumber();
    const nowMs = this.#host.nowMs();
    this.#batches.push({
      seq,
      createdAtMs: nowMs,
      spec,
      places: new Map(),
      state: spec.openMs === undefined ? "running" : "open",
      sealAtMs: spec.openMs === undefined ? 0 : nowMs + spec.openMs,
      finishedAtMs: 0,
      callbacks: [],
    });
    return { seq, id: formatGroupId("batch", { seq, createdAtMs: nowMs, shard: 0 }) };
  }

  begun(seq: number): void {
    const batch = this.#bySeq(seq);
    if (batch?.state === "running") this.#look(batch);
  }

  /** A job is new, or its state is another one now. */
  changed(job: ModelJob): void {
    const batch = this.#byId(job.options.batchId ?? "");
    if (batch === undefined) return;
    const place = isFinished(job.state) ? (job.state as Place) : "pending";
    if (batch.places.get(job.seq) === place) return;
    batch.places.set(job.seq, place);
    this.#look(batch);
  }

  /** An unfinished job was deleted. */
  deleted(job: ModelJob): void {
    const batch = this.#byId(job.options.batchId ?? "");
    if (batch === undefined) return;
    batch.places.set(job.seq, "cancelled");
    this.#look(batch);
  }

  /** A job was cancelled, or deleted before its end. */
  parentGone(parent: ModelJob): void {
    let after = 0;
    const next = () =>
      this.#host
        .jobs()
        .find(
          (job) =>
            job.seq > after &&
            !isFinished(job.state) &&
            job.options.cascadeCancel &&
            parseJobId(job.options.parentId ?? "")?.seq === parent.seq,
        );
    if (next() === undefined) return;
    this.#host.later(() => {
      const now = this.#host.jobs().find(({ seq }) => seq === parent.seq);
      const child = now === undefined || now.state === "cancelled" ? next() : undefined;
      if (child === undefined) return false;
      after = child.seq;
      this.#host.cancel(child);
      return true;
    });
  }

  seal(seq: number): string {
    const batch = this.#bySeq(seq);
    if (batch === undefined) return "NOT_FOUND";
    if (batch.state === "open") this.#close(batch, "running");
    return "ok";
  }

  cancel(seq: number): string {
    const batch = this.#bySeq(seq);
    if (batch === undefined) return "NOT_FOUND";
    if (batch.state === "cancelling" || batch.state === "cancelled") return "ok";
    if (batch.finishedAtMs > 0) return "BATCH_ERROR";
    let after = 0;
    this.#host.later(() => {
      const job = this.#host
        .jobs()
        .find((one) => one.seq > after && !isFinished(one.state) && this.#ofJob(one) === seq);
      if (job === undefined) return false;
      after = job.seq;
      this.#host.cancel(job);
      return true;
    });
    this.#close(batch, "cancelling");
    return "ok";
  }

  /** Open batches whose time ends. */
  sealTimes(): { atMs: number; seq: number }[] {
    const open = this.#batches.filter(({ sealAtMs }) => sealAtMs > 0);
    return open.map(({ sealAtMs, seq }) => ({ atMs: sealAtMs, seq }));
  }

  ended(): readonly ModelBatch[] {
    return this.#batches.filter(({ finishedAtMs }) => finishedAtMs > 0);
  }

  forget(seq: number): void {
    this.#batches = this.#batches.filter((batch) => batch.seq !== seq);
  }

  view(): unknown {
    return this.#batches.map(({ seq, state, sealAtMs, finishedAtMs, callbacks, places }) => {
      const count = (place: Place) => [...places.values()].filter((one) => one === place).length;
      return {
        ...{ seq, state, sealAtMs, finishedAtMs, total: places.size },
        ...{ pending: count("pending"), completed: count("completed") },
        ...{ dead: count("dead"), cancelled: count("cancelled") },
        callbacks: callbacks.map(({ of, seq: job }) => `${of} ${job}`),
      };
    });
  }

  #close(batch: ModelBatch, state: BatchState): void {
    batch.state = state;
    batch.sealAtMs = 0;
    this.#look(batch);
  }

  #isOver(batch: ModelBatch): boolean {
    return batch.state !== "open" && ![...batch.places.values()].includes("pending");
  }

  #look(batch: ModelBatch): void {
    if (batch.finishedAtMs > 0 || !this.#isOver(batch)) return;
    this.#host.later(() => {
      const isThere = this.#batches.includes(batch);
      if (isThere && batch.finishedAtMs === 0 && this.#isOver(batch)) this.#end(batch);
      return false;
    });
  }

  #end(batch: ModelBatch): void {
    const isWhole = [...batch.places.values()].every((place) => place === "completed");
    const { onSuccess, onFailure, onComplete } = batch.spec;
    const payload = this.#told(batch);
    const call = (of: string, spec: NewJob | undefined) => {
      if (spec === undefined) return;
      batch.callbacks.push({ of, seq: this.#host.add({ ...spec, payload }) });
    };
    if (batch.state === "cancelling") batch.state = "cancelled";
    else if (isWhole) {
      batch.state = "completed";
      call("success", onSuccess);
    } else {
      batch.state = "failed";
      call("failure", onFailure);
    }
    call("complete", onComplete);
    batch.finishedAtMs = this.#host.nowMs();
  }

  /** The payload of a job that follows and has none of its own. */
  #told({ seq, createdAtMs, places }: ModelBatch): string {
    const count = (place: Place) => [...places.values()].filter((one) => one === place).length;
    return JSON.stringify({
      batch_id: formatGroupId("batch", { seq, createdAtMs, shard: 0 }),
      total: places.size,
      completed: count("completed"),
      dead: count("dead"),
      cancelled: count("cancelled"),
    });
  }

  #ofJob(job: ModelJob): number | undefined {
    return parseGroupId("batch", job.options.batchId ?? "")?.seq;
  }

  #bySeq(seq: number): ModelBatch | undefined {
    return this.#batches.find((batch) => batch.seq === seq);
  }

  #byId(id: string): ModelBatch | undefined {
    const parsed = parseGroupId("batch", id);
    return this.#batches.find(
      ({ seq, createdAtMs }) => seq === parsed?.seq && createdAtMs === parsed.createdAtMs,
    );
  }
}
