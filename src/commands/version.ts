import { apiVersion } from "../api/version.ts";
import { buildCommit, buildVersion, versionLine } from "./_shared/build.ts";
import { connect } from "./_shared/client.ts";
import { command } from "./_shared/command.ts";
import type { Context } from "./_shared/context.ts";
import { printFields } from "./_shared/grid.ts";

/** A version is asked for in scripts and bug reports: it must not wait for a server that is not there. */
const timeoutMs = 1000;

export default command({
  details: "The server is asked for a second at most; without one, only this program is described.",
  examples: [
    { line: "corvo version", says: "For a report of a fault" },
    { line: "corvo --version", says: "One line, without asking a server" },
  ],
  args: {},
  async run(_, context) {
    const { output } = context;
    const server = await serverVersion(context);
    if (output.json) {
      const own = { version: buildVersion, commit: buildCommit, bun: Bun.version };
      output.line(JSON.stringify({ ...own, api_version: apiVersion, server: server ?? null }));
      return undefined;
    }
    output.line(versionLine());
    printFields(output, [
      ["api", apiVersion],
      ["bun", Bun.version],
      [
        "server",
        server === undefined
          ? `none at ${context.globals.server}`
          : `${server.server_version} (${server.commit}), api ${server.api_version}, node ${server.node_id}`,
      ],
    ]);
    return undefined;
  },
});

async function serverVersion(context: Context) {
  try {
    const client = connect(context, { attemptsMax: 1 });
    return await client.info({}, { signal: context.signal, timeoutMs });
  } catch (error) {
    context.log.debug(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}
