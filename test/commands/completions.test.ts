import { expect, test } from "bun:test";

const script = new URL("../../completions/corvo.bash", import.meta.url).pathname;

async function complete(...words: readonly string[]): Promise<readonly string[]> {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell that fills it in.
  const print = 'printf "%s\\n" "${COMPREPLY[@]}"';
  const code = `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _corvo; ${print}`;
  const run = Bun.spawn(["bash", "-c", code, script, ...words], { stderr: "pipe" });
  const offered = (await new Response(run.stdout).text()).trim().split("\n");
  expect(await new Response(run.stderr).text()).toBe("");
  return offered;
}

test.each([
  [["corvo", "en"], ["enqueue"]],
  [["corvo", "queue", "p"], ["pause"]],
  [["corvo", "--server", "jobs", "queue", "cl"], ["clear"]],
  [
    ["corvo", "jobs", "list", "--created-"],
    ["--created-after", "--created-before"],
  ],
  [["corvo", "jobs", "list", "--state", "de"], ["dead"]],
  [["corvo", "jobs", "list", "--state", "=", "de"], ["dead"]],
  [
    ["corvo", "enqueue", "mail", "--retry-backoff", ""],
    ["none", "fixed", "linear", "exponential"],
  ],
])("bash completes %j to %j", async (words, offered) => {
  expect(await complete(...words)).toEqual(offered);
});
