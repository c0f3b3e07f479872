/** What messages of other shards do here (`post.ts`), each handed to the part of the engine that it is for. */
import { takeAddedCallback, takeCount, takeJoin, takePartDone } from "./batches.ts";
import { takeAddedStep, takeStep } from "./chains.ts";
import type { Core } from "./core.ts";
import { takeEnded, takeUnwatch, takeWatch } from "./depend.ts";
import { takeCancelled, takeFollow, takeUnfollow } from "./following.ts";
import { insertNew } from "./insert.ts";
import { takeJoined } from "./joining.ts";
import type { Add, DeliverMail, Mail, MailChange } from "./mail.ts";
import { type Outcome, reject } from "./outcome.ts";
import { tooManyQueues } from "./queue-settings.ts";
import { reunite, takeFindStep, takeReunited } from "./reunion.ts";

export function changeMail(core: Core, change: MailChange): Outcome {
  if (change.kind === "deliver") return deliverMail(core, change);
  if (change.kind === "reunite") return reunite(core);
  core.post.forget(change.to, change.through);
  return { kind: "ok" };
}

/** Takes messages of another shard, those that were not taken before. */
function deliverMail(core: Core, { from, first, mails }: DeliverMail): Outcome {
  const { shard, shards } = core.place;
  if (from === shard || from >= shards) {
    return reject("VALIDATION_ERROR", `shard ${from} is none of the others of shard ${shard}`);
  }
  let through = core.post.takenFrom(from);
  const before = through;
  mails.forEach((mail, i) => {
    if (first + i <= through) return;
    through = first + i;
    take(core, from, mail);
  });
  if (through > before) core.post.take(from, through);
  return { kind: "delivered", through };
}

function take(core: Core, from: number, mail: Mail): void {
  switch (mail.kind) {
    case "watch":
      takeWatch(core, from, mail);
      break;
    case "unwatch":
      takeUnwatch(core, from, mail);
      break;
    case "ended":
      takeEnded(core, mail);
      break;
    case "follow":
      takeFollow(core, from, mail);
      break;
    case "unfollow":
      takeUnfollow(core, from, mail);
      break;
    case "cancelled":
      takeCancelled(core, mail);
      break;
    case "add":
      takeAdd(core, from, mail);
      break;
    case "added":
      if (mail.errand.kind === "step") takeAddedStep(core, from, mail);
      else takeAddedCallback(core, from, mail);
      break;
    case "step":
      takeStep(core, mail);
      break;
    case "findStep":
      takeFindStep(core, from, mail);
      break;
    case "reunited":
      takeReunited(core);
      break;
    case "join":
      takeJoin(core, from, mail);
      break;
    case "joined":
      takeJoined(core, mail);
      break;
    case "partDone":
      takePartDone(core, mail);
      break;
    case "count":
      takeCount(core, mail);
      break;
  }
}

function takeAdd(core: Core, from: number, { job: spec, errand }: Add): void {
  // That it is passed on no further does not come with the message.
  const isCopy = spec.options?.deadOf !== undefined;
  const job = insertNew(
    core,
    isCopy ? { ...spec, options: { ...spec.options, deadQueue: undefined } } : spec,
  );
  if (errand === undefined) return;
  const problem = tooManyQueues(spec.queue).message;
  const answer = job === undefined ? { problem } : { job: [job.seq, job.createdAtMs] as const };
  core.post.send(from, { kind: "added", errand, ...answer });
}
