/**
 * The lazy table of commands. Each specifier is a literal, so that the compiled program holds every command as a piece of
 * its own and loads only the one that runs; nothing here may import server code.
 */
import type { Aliases, Group } from "./_shared/table.ts";

const jobs: Group = {
  summary: "Look at jobs and act on them, one by one or by the thousand",
  examples: [
    { line: "corvo jobs list --state dead", says: "What went wrong" },
    { line: "corvo jobs retry --state dead --queue mail", says: "Run it again, after a question" },
  ],
  commands: {
    list: { summary: "Find jobs by a filter", load: () => import("./jobs/list.ts") },
    search: {
      summary: "Jobs that contain words, the newest first",
      load: () => import("./jobs/search.ts"),
    },
    tree: {
      summary: "Show a job with all that belongs to it",
      load: () => import("./jobs/tree.ts"),
    },
    get: { summary: "Show one job with its attempts", load: () => import("./jobs/get.ts") },
    log: { summary: "What happened to one job", load: () => import("./jobs/log.ts") },
    dead: { summary: "Dead jobs by what went wrong", load: () => import("./jobs/dead.ts") },
    wait: { summary: "Wait until jobs are finished", load: () => import("./jobs/wait.ts") },
    retry: { summary: "Run finished or waiting jobs now", load: () => import("./jobs/retry.ts") },
    cancel: { summary: "Cancel jobs", load: () => import("./jobs/cancel.ts") },
    delete: { summary: "Remove jobs in any state", load: () => import("./jobs/delete.ts") },
    payload: {
      summary: "Write the payload of a job to standard output",
      load: () => import("./jobs/payload.ts"),
    },
    result: {
      summary: "Write the result of a job to standard output",
      load: () => import("./jobs/result.ts"),
    },
    move: { summary: "Move jobs to another queue", load: () => import("./jobs/move.ts") },
    requeue: {
      summary: "Run dead jobs again with the attempts they have left",
      load: () => import("./jobs/requeue.ts"),
    },
    priority: {
      summary: "Change the priority of waiting jobs",
      load: () => import("./jobs/priority.ts"),
    },
    hold: {
      summary: "Keep jobs from running until they are approved",
      load: () => import("./jobs/hold.ts"),
    },
    approve: { summary: "Let held jobs run", load: () => import("./jobs/approve.ts") },
    reject: { summary: "Send held jobs to dead", load: () => import("./jobs/reject.ts") },
  },
};

const queue: Group = {
  summary: "Look at queues, pause and empty them",
  examples: [
    { line: "corvo queue list", says: "All queues with their counts" },
    { line: "corvo queue pause mail", says: "Stop handing out jobs" },
  ],
  commands: {
    list: { summary: "All queues with their counts", load: () => import("./queue/list.ts") },
    get: { summary: "Show one queue", load: () => import("./queue/get.ts") },
    pause: { summary: "Stop handing out jobs of queues", load: () => import("./queue/pause.ts") },
    resume: { summary: "Hand out jobs of queues again", load: () => import("./queue/resume.ts") },
    drain: {
      summary: "Take no new jobs into queues and work off those that are there",
      load: () => import("./queue/drain.ts"),
    },
    undrain: {
      summary: "Take new jobs into queues again",
      load: () => import("./queue/undrain.ts"),
    },
    defaults: {
      summary: "Show or set the options that jobs of a queue have by default",
      load: () => import("./queue/defaults.ts"),
    },
    bytes: {
      summary: "Show or bound what the payloads and results of a queue take up",
      load: () => import("./queue/bytes.ts"),
    },
    blocked: {
      summary: "Keys whose jobs wait for an older one",
      load: () => import("./queue/blocked.ts"),
    },
    redrive: {
      summary: "Run dead jobs of a queue again, in the background",
      load: () => import("./queue/redrive.ts"),
    },
    clear: {
      summary: "Delete the waiting jobs of a queue",
      load: () => import("./queue/clear.ts"),
    },
    delete: {
      summary: "Delete a queue with all its jobs",
      load: () => import("./queue/delete.ts"),
    },
  },
};

const limit: Group = {
  summary: "Limit how much runs at once and how fast, pause it, share it between groups",
  examples: [
    { line: "corvo limit set --queue mail --concurrency 5", says: "At most five at once" },
    { line: "corvo limit list", says: "All limits, and what of them is in use" },
  ],
  commands: {
    set: { summary: "Set a limit", load: () => import("./limit/set.ts") },
    list: { summary: "All limits and pauses", load: () => import("./limit/list.ts") },
    show: {
      summary: "What holds for a queue, a key or a resource",
      load: () => import("./limit/show.ts"),
    },
    remove: { summary: "Remove a limit", load: () => import("./limit/remove.ts") },
    pause: {
      summary: "Start no jobs of a queue, a key or a resource for a time",
      load: () => import("./limit/pause.ts"),
    },
    resume: { summary: "End such a pause", load: () => import("./limit/resume.ts") },
  },
};

const batch: Group = {
  summary: "Count jobs together, and run others when all of them have ended",
  examples: [
    { line: "corvo batch create resize", says: "A batch that jobs may join; its id" },
    { line: "corvo batch list --state running", says: "Those that are not over" },
  ],
  commands: {
    create: { summary: "Open a batch", load: () => import("./batch/create.ts") },
    add: { summary: "Add a job to an open batch", load: () => import("./batch/add.ts") },
    seal: { summary: "Let no further jobs join", load: () => import("./batch/seal.ts") },
    status: { summary: "One batch with its counts", load: () => import("./batch/status.ts") },
    list: { summary: "Batches, newest first", load: () => import("./batch/list.ts") },
    cancel: {
      summary: "Cancel a batch with its unfinished jobs",
      load: () => import("./batch/cancel.ts"),
    },
  },
};

const bulk: Group = {
  summary: "Actions on many jobs that go on in the background",
  examples: [
    { line: "corvo jobs cancel --queue mail --background", says: "Begin one; its id" },
    { line: "corvo bulk list --status running", says: "Those that are not over" },
  ],
  commands: {
    list: { summary: "Bulk actions, newest first", load: () => import("./bulk/list.ts") },
    show: { summary: "How far one is", load: () => import("./bulk/show.ts") },
    cancel: {
      summary: "Stop one; what it has done stays done",
      load: () => import("./bulk/cancel.ts"),
    },
  },
};

const schedule: Group = {
  summary: "Jobs that come again and again",
  examples: [
    {
      line: `corvo schedule set nightly reports --cron "30 2 * * *" --zone Europe/Berlin`,
      says: "Each night at half past two, in Berlin",
    },
    { line: "corvo schedule list", says: "All schedules, and when they run next" },
  ],
  commands: {
    set: { summary: "Make or change a schedule", load: () => import("./schedule/set.ts") },
    list: { summary: "Schedules and their next runs", load: () => import("./schedule/list.ts") },
    show: { summary: "One schedule with its history", load: () => import("./schedule/show.ts") },
    preview: {
      summary: "When a timetable comes due; nothing is kept",
      load: () => import("./schedule/preview.ts"),
    },
    run: { summary: "Start a run now", load: () => import("./schedule/run.ts") },
    pause: { summary: "Start no further runs", load: () => import("./schedule/pause.ts") },
    resume: { summary: "Start runs again", load: () => import("./schedule/resume.ts") },
    delete: {
      summary: "Delete schedules; their jobs stay",
      load: () => import("./schedule/delete.ts"),
    },
  },
};

const webhook: Group = {
  summary: "Tell others what happens, and take in what others tell",
  examples: [
    {
      line: "corvo webhook set https://hooks.example.org/corvo --events dead",
      says: "Tell of dead jobs",
    },
    { line: "corvo webhook list", says: "All webhooks, and how their deliveries went" },
  ],
  commands: {
    set: { summary: "Make or change a webhook", load: () => import("./webhook/set.ts") },
    list: { summary: "All webhooks", load: () => import("./webhook/list.ts") },
    show: { summary: "One webhook with its counts", load: () => import("./webhook/show.ts") },
    test: { summary: "Send a message that says nothing", load: () => import("./webhook/test.ts") },
    deliveries: {
      summary: "What was sent, and what came back",
      load: () => import("./webhook/deliveries.ts"),
    },
    redeliver: { summary: "Send deliveries again", load: () => import("./webhook/redeliver.ts") },
    pause: {
      summary: "Keep deliveries and send none",
      load: () => import("./webhook/pause.ts"),
    },
    enable: {
      summary: "Send again, after a pause or a disabling",
      load: () => import("./webhook/enable.ts"),
    },
    delete: {
      summary: "Delete webhooks with their deliveries",
      load: () => import("./webhook/delete.ts"),
    },
    incoming: {
      summary: "Calls from outside that become jobs",
      examples: [
        {
          line: "corvo webhook incoming set ci --scheme github --secret 0123456789abcdef",
          says: "Take what GitHub sends, and nothing that only looks like it",
        },
      ],
      commands: {
        set: {
          summary: "Say how calls to a queue are verified",
          load: () => import("./webhook/incoming/set.ts"),
        },
        list: {
          summary: "Queues that verify calls",
          load: () => import("./webhook/incoming/list.ts"),
        },
        delete: {
          summary: "Verify calls to queues no more",
          load: () => import("./webhook/incoming/delete.ts"),
        },
      },
    },
  },
};

const subscription: Group = {
  summary: "Call a URL when queues have jobs that are ready",
  examples: [
    {
      line: "corvo subscription set https://worker.example.org/wake mail",
      says: "Wake a worker that is not connected",
    },
    { line: "corvo subscription list", says: "Those that have not ended" },
  ],
  commands: {
    set: { summary: "Make or change a subscription", load: () => import("./subscription/set.ts") },
    list: { summary: "All subscriptions", load: () => import("./subscription/list.ts") },
    renew: { summary: "Let one last longer", load: () => import("./subscription/renew.ts") },
    delete: { summary: "End subscriptions", load: () => import("./subscription/delete.ts") },
  },
};

const workers: Group = {
  summary: "Look at workers, and ask them to take no more jobs or to end",
  examples: [
    { line: "corvo workers list", says: "Who takes jobs, and how many each has in hand" },
    { line: "corvo workers quiet host1-4711-ab12", says: "Give this one no more" },
  ],
  commands: {
    list: { summary: "Workers that take jobs", load: () => import("./workers/list.ts") },
    quiet: {
      summary: "Ask workers to take no more jobs",
      load: () => import("./workers/quiet.ts"),
    },
    stop: {
      summary: "Ask workers to finish their jobs and to end",
      load: () => import("./workers/stop.ts"),
    },
    resume: {
      summary: "Let workers take jobs again",
      load: () => import("./workers/resume.ts"),
    },
  },
};

const cluster: Group = {
  summary: "Look at the nodes of a cluster, and change which they are",
  examples: [
    { line: "corvo cluster status", says: "Nodes, and how the cluster is" },
    { line: "corvo cluster transfer-leader", says: "Before maintenance of the leader" },
  ],
  commands: {
    status: {
      summary: "Nodes of the cluster, and in a sentence how it is",
      load: () => import("./cluster/status.ts"),
    },
    token: {
      summary: "Print a word with which a new node joins",
      load: () => import("./cluster/token.ts"),
    },
    remove: {
      summary: "Remove a node for good",
      load: () => import("./cluster/remove.ts"),
    },
    "transfer-leader": {
      summary: "Hand leadership to another node",
      load: () => import("./cluster/transfer-leader.ts"),
    },
    snapshot: {
      summary: "Make a snapshot of a node now, and shorten its log",
      load: () => import("./cluster/snapshot.ts"),
    },
    promote: { summary: "Let a learner vote", load: () => import("./cluster/promote.ts") },
    demote: {
      summary: "Make a voter a learner",
      load: () => import("./cluster/demote.ts"),
    },
  },
};

export const commands: Group = {
  summary: "Durable background jobs: a server, its workers, and the tools to look after both",
  examples: [
    { line: `corvo enqueue mail '{"to":"ada@example.org"}'`, says: "Add a job" },
    { line: "corvo worker mail -- ./send-mail.sh", says: "Run a program for each job" },
    { line: "corvo jobs list --queue mail", says: "See what became of it" },
    { line: "corvo status", says: "See how the server is" },
  ],
  commands: {
    server: {
      summary: "Run a server",
      load: () => import("./server.ts"),
      below: {
        drain: {
          summary: "Let a running server give out no more work, so that it can be stopped",
          load: () => import("./server/drain.ts"),
        },
      },
    },
    enqueue: {
      summary: "Add a job to a queue, or many from a file",
      load: () => import("./enqueue.ts"),
    },
    worker: {
      summary: "Run any program as the handler of jobs",
      load: () => import("./worker.ts"),
    },
    jobs,
    queue,
    limit,
    batch,
    bulk,
    schedule,
    webhook,
    subscription,
    workers,
    cluster,
    explain: {
      summary: "Why a job does not run, or why a queue is silent",
      load: () => import("./explain.ts"),
    },
    events: {
      summary: "What happens to jobs and queues, lately or as it happens",
      load: () => import("./events.ts"),
    },
    status: {
      summary: "What the server holds and does, in one look",
      load: () => import("./status.ts"),
    },
    backup: {
      summary: "Write everything that a server has into one file, or check such a file",
      load: () => import("./backup.ts"),
    },
    restore: {
      summary: "Make a data directory from a backup",
      load: () => import("./restore.ts"),
    },
    recover: {
      summary:
        "Make a stopped node the only one, when the majority of its cluster is gone for good",
      load: () => import("./recover.ts"),
    },
    bench: {
      summary: "Measure this machine and this version, and prove that nothing was lost",
      load: () => import("./bench.ts"),
    },
    version: {
      summary: "Versions of this program and of the server",
      load: () => import("./version.ts"),
    },
    completion: {
      summary: "Print a completion script for a shell",
      load: () => import("./completion.ts"),
    },
  },
};

/** Names of 0.3, and short ones. */
export const aliases: Aliases = {
  inspect: ["jobs", "get"],
  search: ["jobs", "list"],
  held: ["jobs", "list", "--state=held"],
  retry: ["jobs", "retry"],
  cancel: ["jobs", "cancel"],
  delete: ["jobs", "delete"],
  move: ["jobs", "move"],
  hold: ["jobs", "hold"],
  approve: ["jobs", "approve"],
  reject: ["jobs", "reject"],
  queues: ["queue", "list"],
  pause: ["queue", "pause"],
  resume: ["queue", "resume"],
  drain: ["queue", "drain"],
  clear: ["queue", "clear"],
  destroy: ["queue", "delete"],
};
