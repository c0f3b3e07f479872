/** What goes over many jobs step by step, carried on by whoever leads (`replica/sweeper.ts`): redrives and bulk actions. */
import { endBulk, startBulk, stepBulk } from "./bulk.ts";
import type {
  CancelRedrive,
  EndBulk,
  StartBulk,
  StartRedrive,
  StepBulk,
  StepRedrive,
} from "./change.ts";
import type { Core } from "./core.ts";
import type { Outcome } from "./outcome.ts";
import { cancelRedrive, startRedrive, stepRedrive } from "./redrive.ts";

type SweepChange = StartRedrive | StepRedrive | CancelRedrive | StartBulk | StepBulk | EndBulk;

export function applySweep(core: Core, change: SweepChange): Outcome {
  switch (change.kind) {
    case "startRedrive":
      return startRedrive(core, change);
    case "stepRedrive":
      return stepRedrive(core, change);
    case "cancelRedrive":
      return cancelRedrive(core, change);
    case "startBulk":
      return startBulk(core, change);
    case "stepBulk":
      return stepBulk(core, change);
    case "endBulk":
      return endBulk(core, change);
  }
}
