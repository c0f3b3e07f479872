/** How far something is: a bar that redraws itself on a terminal, a line per tenth otherwise. Always on stderr. */
import type { Context } from "./context.ts";

export interface Progress {
  /** `share` from 0 to 1; undefined when the end is not known. */
  update(share: number | undefined, text: string): void;
  /** Takes the bar away. */
  done(): void;
}

const barWidth = 24;
const redrawMs = 100;
const unknownStepMs = 5000;

export function createProgress(context: Context): Progress {
  const { output, system } = context;
  if (output.quiet || output.json) return { update: () => undefined, done: () => undefined };
  return system.stderr.isTty && system.env["TERM"] !== "dumb"
    ? terminalProgress(context)
    : lineProgress(context);
}

function terminalProgress({ system }: Context): Progress {
  let lastMs = Number.NEGATIVE_INFINITY;
  let shown = false;
  return {
    update(share, text) {
      const nowMs = system.clock.monotonicMs();
      if (nowMs - lastMs < redrawMs) return;
      lastMs = nowMs;
      shown = true;
      const line = share === undefined ? text : `${bar(share)} ${percent(share)} %  ${text}`;
      system.stderr.write(`\r\x1b[2K${line.slice(0, system.stderr.columns - 1)}`);
    },
    done() {
      if (shown) system.stderr.write("\r\x1b[2K");
    },
  };
}

function lineProgress({ log, system }: Context): Progress {
  let lastTenth = 0;
  let lastMs = system.clock.monotonicMs();
  return {
    update(share, text) {
      if (share !== undefined) {
        const tenth = Math.floor(share * 10);
        if (tenth <= lastTenth) return;
        lastTenth = tenth;
        log.info(`${tenth * 10} %  ${text}`);
        return;
      }
      const nowMs = system.clock.monotonicMs();
      if (nowMs - lastMs < unknownStepMs) return;
      lastMs = nowMs;
      log.info(text);
    },
    done: () => undefined,
  };
}

function bar(share: number): string {
  const full = Math.round(Math.min(1, share) * barWidth);
  return `[${"#".repeat(full)}${"-".repeat(barWidth - full)}]`;
}

function percent(share: number): string {
  return String(Math.floor(Math.min(1, share) * 100)).padStart(3);
}
