/** Shows what handlers write, line by line with the job in front. What the reader of our stdout cannot take is counted, not kept. */
import { LineSplitter } from "./output.ts";

/** Where a worker writes its data. */
export interface Out {
  /** Resolves to whether the text was taken; false when nobody reads any more. */
  write(text: string): Promise<boolean>;
}

const pendingCharsMax = 1024 * 1024;

export class Echo {
  readonly #out: Out;
  #pendingChars = 0;
  #droppedLines = 0;

  constructor(out: Out) {
    this.#out = out;
  }

  line(text: string): void {
    if (this.#pendingChars > pendingCharsMax) {
      this.#droppedLines++;
      return;
    }
    let shown = `${text}\n`;
    if (this.#droppedLines > 0) {
      shown = `[corvo] ${this.#droppedLines} lines were not shown, since stdout is read too slowly\n${shown}`;
      this.#droppedLines = 0;
    }
    this.#pendingChars += shown.length;
    void this.#out.write(shown).then(() => {
      this.#pendingChars -= shown.length;
    });
  }
}

/** Both streams of one job. */
export class JobEcho {
  readonly #stdout: LineSplitter;
  readonly #stderr: LineSplitter;

  constructor(echo: Echo, prefix: string) {
    const show = (line: string) => echo.line(`${prefix} ${line}`);
    this.#stdout = new LineSplitter(show);
    this.#stderr = new LineSplitter(show);
  }

  stdout(bytes: Uint8Array): void {
    this.#stdout.add(bytes);
  }

  stderr(bytes: Uint8Array): void {
    this.#stderr.add(bytes);
  }

  end(): void {
    this.#stdout.end();
    this.#stderr.end();
  }
}
