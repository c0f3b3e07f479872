/** `corvo jobs tree`: a job with its dependencies, chain, batch, parents and children, as branches. */
import { progressOf } from "../_shared/batch-view.ts";
import type { Style } from "../_shared/colors.ts";
import { command } from "../_shared/command.ts";
import { type JobTree, JobTrees, type NamedJob } from "../_shared/job-tree.ts";
import { printable } from "../_shared/output.ts";
import { paintState } from "../_shared/states.ts";

/** A line and what hangs from it. */
interface Branch {
  readonly text: string;
  readonly below: readonly Branch[];
}

const jobsMax = 200;

export default command({
  details:
    "The tree begins with the topmost parent. Dependencies and steps are named with their states; a chain or batch of several jobs is shown once.",
  examples: [
    {
      line: "corvo jobs tree job_0193a1b2c3d000000000000001",
      says: "All that belongs to a job",
    },
  ],
  args: {
    id: { type: "positional", description: "Id of the job." },
  },
  async run(args, { client, output, signal }) {
    const tree = await new JobTrees(client(), jobsMax, signal).around(args.id);
    if (output.json) output.line(JSON.stringify(tree));
    else if (output.quiet) for (const id of idsOf(tree)) output.line(id);
    else for (const line of linesOf(branchOf(tree, args.id, output.style))) output.line(line);
    return undefined;
  },
});

function idsOf(tree: JobTree): string[] {
  return [tree.id, ...tree.children.flatMap(idsOf)];
}

function linesOf({ text, below }: Branch): string[] {
  return [
    text,
    ...below.flatMap((branch, i) => {
      const isLast = i === below.length - 1;
      const [first = "", ...others] = linesOf(branch);
      const stem = isLast ? "   " : "│  ";
      return [`${isLast ? "└─ " : "├─ "}${first}`, ...others.map((line) => stem + line)];
    }),
  ];
}

function branchOf(tree: JobTree, asked: string, style: Style): Branch {
  const below: Branch[] = tree.depends_on.map((job) => leaf(`after ${nameOf(job, style)}`));
  if (tree.chain !== undefined) below.push(chainBranch(tree.chain, style));
  if (tree.batch !== undefined) {
    const { id, state } = tree.batch;
    below.push(leaf(`batch ${id}  ${progressOf(tree.batch)} ended  ${paintState(state, style)}`));
  }
  below.push(...tree.children.map((child) => branchOf(child, asked, style)));
  if (tree.children_left_out > 0) {
    below.push(leaf(`… and ${tree.children_left_out.toLocaleString("en-US")} more`));
  }
  const name = nameOf(tree, style);
  return { text: tree.id === asked ? style.bold(name) : name, below };
}

function chainBranch(chain: NonNullable<JobTree["chain"]>, style: Style): Branch {
  const steps = chain.steps.map(({ step, job_id, queue, state }) =>
    leaf(`${step}  ${nameOf(named(job_id, queue, state), style)}`),
  );
  for (const [word, job] of [
    ["on_exit", chain.exit_job],
    ["on_failure", chain.failure_job],
  ] as const) {
    if (job === undefined) continue;
    steps.push(leaf(`${word}  ${nameOf(named(job.job_id, job.queue, job.state), style)}`));
  }
  return { text: `chain ${chain.id}  ${paintState(chain.state, style)}`, below: steps };
}

function named(id: string | undefined, queue: string | undefined, state: string): NamedJob {
  return { id: id ?? "", state, ...(queue !== undefined && { queue }) };
}

function nameOf(job: NamedJob & { readonly blocked?: boolean }, style: Style): string {
  const state = job.blocked === true ? "blocked" : job.state;
  return [job.id, printable(job.queue ?? ""), paintState(state, style)]
    .filter((part) => part !== "")
    .join("  ");
}

function leaf(text: string): Branch {
  return { text, below: [] };
}
