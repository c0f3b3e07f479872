/**
 * A `SqliteState` with its writer on the same thread, so that a test chooses the moment of each step of a checkpoint:
 * taken, stored, settled. A crash is legal between any two of them.
 */
import { Engine } from "../../src/engine/engine.ts";
import { defaultEventRetention, type EventRetention } from "../../src/store/event-rows.ts";
import { SqliteState, type SqliteStateOptions } from "../../src/store/sqlite-state.ts";
import { type Checkpoint, StateWriter } from "../../src/store/state-writer.ts";

export class StateRig {
  readonly #path: string;
  readonly #options: SqliteStateOptions;
  readonly #retention: EventRetention;
  #writer: StateWriter;
  state: SqliteState;
  engine: Engine;
  #taken: Checkpoint | undefined;
  #stored = false;

  constructor(
    path: string,
    cachedJobsMax: number,
    retention = defaultEventRetention,
    listTextChanges = false,
  ) {
    this.#path = path;
    this.#retention = retention;
    this.#options = { cachedJobsMax, listTextChanges };
    this.#writer = new StateWriter(path, retention);
    this.state = new SqliteState(path, this.#options);
    this.engine = new Engine(this.state);
  }

  /** Carries the checkpoint one step on. */
  step(appliedIndex: number): void {
    if (this.#taken === undefined) {
      this.#taken = this.state.takeCheckpoint(appliedIndex);
    } else if (!this.#stored) {
      this.#writer.write(this.#taken);
      this.#stored = true;
    } else {
      this.#settle();
    }
  }

  /** The writer could not store what was taken. */
  fail(): void {
    if (this.#taken === undefined || this.#stored) return;
    this.state.restore();
    this.#taken = undefined;
  }

  checkpoint(appliedIndex: number): void {
    while (this.#taken !== undefined) this.step(appliedIndex);
    this.step(appliedIndex);
    while (this.#taken !== undefined) this.step(appliedIndex);
  }

  purge(): boolean {
    return this.#writer.purgeStep();
  }

  /** Loses everything that is not in the database. */
  crash(): void {
    this.close();
    this.#taken = undefined;
    this.#stored = false;
    this.#writer = new StateWriter(this.#path, this.#retention);
    this.state = new SqliteState(this.#path, this.#options);
    this.engine = new Engine(this.state);
  }

  close(): void {
    this.state.close();
    this.#writer.close();
  }

  #settle(): void {
    this.state.settle();
    const floors = this.state.takeFloors();
    if (floors !== undefined) this.#writer.setFloors(floors.done, floors.dead);
    this.#taken = undefined;
    this.#stored = false;
  }
}
