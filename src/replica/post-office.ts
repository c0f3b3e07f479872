/**
 * Carries messages between the shards of a node (`engine/post.ts`). Every node has a copy of every shard, so nothing needs to be sent:
 * whoever leads the shard that a message is for finds it in its own copy of the writer's state, where it is as soon as it is committed,
 * and proposes to take it. Whoever leads the writer sees in its copy of the receiver's state what was taken, and proposes to forget it.
 *
 * Nothing here has to be remembered, or to be right: a copy that is behind only makes it later, and what is proposed twice is taken once.
 */
import { CorvoError } from "../base/errors.ts";
import type { Logger, Timers } from "../base/ports.ts";
import { type Mail, sizeOfMail, stepsOfMail } from "../engine/mail.ts";
import type { Replica } from "./replica.ts";

interface PostOfficeDeps {
  /** By the number of the shard. */
  readonly replicas: readonly Pick<Replica, "engine" | "isLeader" | "submit">[];
  readonly timers: Timers;
  readonly logger: Logger;
}

/** Messages, bytes and jobs of one change: it holds up everything behind it. */
const mailsMax = 500;
const bytesMax = 512 * 1024;
const jobsMax = 2000;
const retryMs = 250;

export class PostOffice {
  readonly #deps: PostOfficeDeps;
  /** Pairs of shards, and directions, of which a proposal is under way. */
  readonly #busy = new Set<string>();
  readonly #complaints = new Set<string>();
  #isLooking = false;
  #cancelRetry: (() => void) | undefined;
  #isStopped = false;

  constructor(deps: PostOfficeDeps) {
    this.#deps = deps;
  }

  /**
   * A shard is led by this node now. In states that were restored from copies of different moments a reader may have taken more than
   * its writer knows to have sent; what that writes from now on must come behind.
   */
  lead(): void {
    const { replicas } = this.#deps;
    replicas.forEach((writer, from) => {
      if (!writer.isLeader) return;
      replicas.forEach((reader, to) => {
        const through = reader.engine.post.takenFrom(from);
        if (to === from || through <= writer.engine.post.sentTo(to)) return;
        this.#run(`forget ${from} ${to}`, () =>
          writer.submit({ kind: "forgetMail", to, through }, 64),
        );
      });
    });
    this.look();
  }

  /** Something has moved. */
  look(): void {
    if (this.#isLooking || this.#isStopped) return;
    this.#isLooking = true;
    // Several shards may apply entries before anything can be proposed.
    queueMicrotask(() => {
      this.#isLooking = false;
      if (!this.#isStopped) this.#lookAtAll();
    });
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelRetry?.();
  }

  #lookAtAll(): void {
    const { replicas } = this.#deps;
    replicas.forEach((writer, from) => {
      for (const to of writer.engine.post.destinations()) {
        const reader = replicas[to];
        if (reader?.isLeader === true) this.#take(from, to);
        if (writer.isLeader && reader !== undefined) this.#forget(from, to);
      }
    });
  }

  /** Proposes to the reader what it has not taken. */
  #take(from: number, to: number): void {
    const { replicas } = this.#deps;
    const [writer, reader] = [replicas[from], replicas[to]];
    if (writer === undefined || reader === undefined) return;
    const taken = reader.engine.post.takenFrom(from);
    const { first, mails } = writer.engine.post.after(to, taken, mailsMax);
    if (mails.length === 0) return;
    const { part, bytes } = fit(mails);
    this.#run(`take ${from} ${to}`, () =>
      reader.submit({ kind: "deliver", from, first, mails: part }, bytes),
    );
  }

  /** Proposes to the writer to forget what was taken. */
  #forget(from: number, to: number): void {
    const { replicas } = this.#deps;
    const [writer, reader] = [replicas[from], replicas[to]];
    const first = writer?.engine.post.firstTo(to);
    if (writer === undefined || reader === undefined || first === undefined) return;
    const through = reader.engine.post.takenFrom(from);
    if (through < first) return;
    this.#run(`forget ${from} ${to}`, () => writer.submit({ kind: "forgetMail", to, through }, 64));
  }

  /** One at a time for each pair; what came meanwhile is looked for afterwards. */
  #run(key: string, propose: () => Promise<unknown>): void {
    if (this.#busy.has(key)) return;
    this.#busy.add(key);
    propose().then(
      () => {
        this.#busy.delete(key);
        this.look();
      },
      (error: unknown) => {
        this.#busy.delete(key);
        this.#complain(key, error);
        this.#lookLater();
      },
    );
  }

  /** A log that takes nothing at the moment is expected. What will not be taken later either is said once. */
  #complain(key: string, error: unknown): void {
    if (error instanceof CorvoError && error.code !== "VALIDATION_ERROR") return;
    if (this.#complaints.has(key)) return;
    this.#complaints.add(key);
    this.#deps.logger.error("messages between shards could not be delivered", { key, error });
  }

  /** A refusal by the log. Where another node leads now, it is that node's matter, and the look finds nothing to do. */
  #lookLater(): void {
    if (this.#isStopped) return;
    this.#cancelRetry?.();
    this.#cancelRetry = this.#deps.timers.after(retryMs, () => this.look());
  }
}

/** As many of the messages as one change may hold, at least one. */
function fit(mails: readonly Mail[]): { part: readonly Mail[]; bytes: number } {
  let bytes = 128;
  let jobs = 0;
  let count = 0;
  for (const mail of mails) {
    const size = sizeOfMail(mail);
    const steps = stepsOfMail(mail);
    if (count > 0 && (bytes + size > bytesMax || jobs + steps > jobsMax)) break;
    bytes += size;
    jobs += steps;
    count++;
  }
  return { part: mails.slice(0, count), bytes };
}
