/**
 * Does the simulator find bugs? Puts known ones back, one at a time, into a copy of the program, and counts the seeds
 * until each is found. `npm run mutations -- [SEEDS]`; it fails when one is not found within that many.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

interface Mutation {
  readonly says: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const mutations: readonly Mutation[] = [
  {
    says: "a voter grants its vote to whoever asks, however short its log",
    file: "src/raft/election.ts",
    from: "if (!canVote || !raft.log.isUpToDate({ term: message.logTerm, index: message.index })) {",
    to: "if (!canVote) {",
  },
  {
    says: "acknowledgements leave before the disk has the entries",
    file: "src/replica/group.ts",
    from: "    this.#steps.push(step);",
    to: "    this.#send(work.after.filter(({ to }) => to < 1000 && to !== this.#options.nodeId));\n    this.#steps.push(step);",
  },
  {
    says: "a retried write stores a commit index that is ahead of it",
    file: "src/replica/group.ts",
    from: "const { hard } = step;",
    to: "const hard = this.#node.state.hardState();",
  },
  {
    says: "a write refused at once lets later ones pass it",
    file: "src/replica/group.ts",
    from: "if (this.#isWaitingForDisk) return;\n    }",
    to: "}",
  },
  {
    says: "calls in flight are forgotten when leadership is lost",
    file: "src/replica/replica.ts",
    from: "    this.#alarm.stop();\n    this.#abandonFlight();",
    to: "    this.#alarm.stop();\n    this.#inFlight = undefined;",
  },
  {
    says: "a call that was in the log's hands is answered as refused",
    file: "src/replica/replica.ts",
    from: '    const error = new CorvoError(\n      "OUTCOME_UNKNOWN",\n      "the node lost',
    to: '    const error = new CorvoError(\n      "UNAVAILABLE",\n      "the node lost',
  },
  {
    says: "reads are served from whatever is applied",
    file: "src/replica/group.ts",
    from: "if (this.#isAlone() && this.isReady) return Promise.resolve();",
    to: "if (this.#options.tickMs > 0) return Promise.resolve();",
  },
  {
    says: "an idempotency key is not remembered",
    file: "src/engine/enqueue.ts",
    from: "if (known.fingerprint === idempotency.fingerprint) {",
    to: "if (core.nowMs % 7 > 0 && known.fingerprint === idempotency.fingerprint) {",
  },
  {
    says: "any token speaks for an active job",
    file: "src/engine/lease.ts",
    from: "if (job.token === item.token) {",
    to: 'if (job.token === item.token || job.state === "active") {',
  },
  {
    says: "nobody rings for what time alone causes after a change of leader",
    file: "src/replica/replica.ts",
    from: "    if (this.isLeader) {\n      this.#alarm.arm();\n      return;",
    to: "    if (this.isLeader) {\n      return;",
  },
  {
    says: "the log is compacted beyond the stored state after a failed checkpoint",
    file: "src/replica/checkpoints.ts",
    from: "        (error: unknown) => {",
    to: "        (error: unknown) => {\n          this.#deps.onStored(point.index);",
  },
  {
    says: "the state depends on the node that applies it",
    file: "src/engine/fail.ts",
    from: "core.nowMs",
    to: "(core.nowMs + (performance.now() % 2))",
  },
];

const seedsMax = Number(process.argv[2] ?? 60);
const root = join(import.meta.dir, "../..");
let missed = 0;
for (const mutation of mutations) {
  const place = mkdtempSync(join(tmpdir(), "corvo-mutation-"));
  try {
    missed += run(mutation, place) ? 0 : 1;
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
console.log(`${mutations.length - missed} of ${mutations.length} found within ${seedsMax} seeds`);
process.exitCode = missed === 0 ? 0 : 1;

/** True when the bug was found. */
function run({ says, file, from, to }: Mutation, place: string): boolean {
  for (const folder of ["src", "test/sim", "test/support"]) {
    cpSync(join(root, folder), join(place, folder), { recursive: true });
  }
  for (const name of ["package.json", "tsconfig.json"]) cpSync(join(root, name), join(place, name));
  symlinkSync(join(root, "node_modules"), join(place, "node_modules"));
  const text = readFileSync(join(place, file), "utf8");
  if (!text.includes(from))
    throw new Error(`${file} does not hold what is to be replaced: ${from}`);
  writeFileSync(join(place, file), text.replace(from, to));
  const args = ["--seeds", String(seedsMax), "--steps", "2000", "--no-shrink"];
  const { exitCode, stdout } = Bun.spawnSync([process.execPath, "test/sim/main.ts", ...args], {
    cwd: place,
  });
  if (exitCode !== 0) {
    const [first] = stdout.toString().split("\n");
    const found = first?.match(/^(seed \d+, step \d+).*?faults [^:]*: (.*)$/);
    if (found === null || found === undefined) throw new Error(`no seed failed: ${stdout}`);
    console.log(`${found[1]}: ${says}\n  ${found[2]}`);
    return true;
  }
  console.log(`MISSED: ${says}`);
  return false;
}
