/** How jobs are found among many. */
import { expect } from "bun:test";
import type { Api } from "./api.ts";
import type { Chapter } from "./feature.ts";

interface Page {
  readonly jobs: readonly { readonly id: string }[];
  readonly total: number;
  readonly cursor?: string;
}

async function find(api: Api, q: string, more = ""): Promise<Page> {
  const path = `/api/v1/jobs?q=${encodeURIComponent(q)}${more}`;
  return (await api.json("GET", path)) as unknown as Page;
}

async function idsOf(api: Api, q: string): Promise<string[]> {
  const { jobs, total } = await find(api, q);
  expect(total).toBe(jobs.length);
  return jobs.map(({ id }) => id);
}

export const finding: Chapter = {
  title: "Finding jobs",
  features: [
    {
      id: "filter-language",
      what: "One filter language for HTTP and command line: fields, comparisons, OR, not, brackets",
      shows: "corvo jobs list 'queue:QUEUE (state:active OR priority:2) -tag.env:test'",
      async story(api, queue) {
        const first = await api.add(queue, { tags: { env: "prod" }, priority: 2 });
        await api.add(queue, { tags: { env: "test" }, priority: 2 });
        const third = await api.add(queue, { priority: 9 });
        return async () => {
          const q = `queue:${queue} (priority:2 OR priority:9) -tag.env:test sort:created.asc`;
          expect(await idsOf(api, q)).toEqual([first, third]);
          const listed = JSON.parse(await api.cli("jobs", "list", "--json", q));
          expect(listed.jobs).toMatchObject([{ id: first }, { id: third }]);
        };
      },
    },
    {
      id: "filter-errors",
      what: "A slip in a filter is an error with its position and the nearest name",
      shows: "corvo jobs list 'stat:dead'",
      async story(api, queue) {
        await api.add(queue);
        return async () => {
          const q = encodeURIComponent(`queue:${queue} stat:dead`);
          const answer = await api.call("GET", `/api/v1/jobs?q=${q}`);
          expect(answer).toMatchObject({
            status: 400,
            body: { details: { position: `queue:${queue} `.length + 1 } },
          });
          expect(answer.body["error"]).toContain("did you mean state?");
        };
      },
    },
    {
      id: "payload-conditions",
      what: "Jobs by members of their payload, and by the part of jq that 0.3 knows",
      shows: "corvo jobs list 'payload.user.id=42'; payload_jq of a filter",
      async story(api, queue) {
        const id = await api.add(queue, { payload: { user: { id: 42 }, items: ["a", "b"] } });
        await api.add(queue, { payload: { user: { id: 43 }, items: [] } });
        return async () => {
          for (const q of ["payload.user.id=42", "payload.items#>1", "payload.items~b"]) {
            expect(await idsOf(api, `queue:${queue} ${q}`)).toEqual([id]);
          }
          const body = { queue, payload_jq: '.items | contains("a")' };
          const found = await api.json("POST", "/api/v1/jobs/search", body);
          expect(found).toMatchObject({ jobs: [{ id }], total: 1 });
        };
      },
    },
    {
      id: "search",
      what: "Words in payloads, tags, errors and queue names, in any case, by an index",
      shows: "corvo jobs search WORD …; GET /api/v1/search/fulltext?q=",
      async story(api, queue) {
        const note = `Needle ${queue}`;
        const id = await api.add(queue, { payload: { note } });
        await api.add(queue);
        await api.fail(await api.take(queue), { error: `Straw of ${queue} burnt` });
        return async () => {
          const q = encodeURIComponent(`needle "${queue}"`);
          const found = await api.json("GET", `/api/v1/search/fulltext?q=${q}`);
          expect(found["results"]).toMatchObject([{ id }]);
          expect(await idsOf(api, `"straw of ${queue} burnt"`)).toEqual([id]);
          expect((await api.cli("jobs", "search", "-q", "NEEDLE", queue)).trim()).toBe(id);
        };
      },
    },
    {
      id: "search-pages",
      what: "Pages that give each job once, with a total, whatever comes in between",
      shows: "GET /api/v1/jobs?q=…&limit=…&cursor=…",
      async story(api, queue) {
        const ids: string[] = [];
        for (let n = 0; n < 5; n++) ids.push(await api.add(queue, { priority: n % 2 }));
        return async () => {
          const given: string[] = [];
          let cursor = "";
          do {
            const page = await find(
              api,
              `queue:${queue} created<1h sort:priority`,
              `&limit=2${cursor}`,
            );
            expect(page.total).toBe(5);
            given.push(...page.jobs.map(({ id }) => id));
            cursor = page.cursor === undefined ? "" : `&cursor=${page.cursor}`;
          } while (cursor !== "");
          expect(new Set(given)).toEqual(new Set(ids));
          expect(given.length).toBe(5);
        };
      },
    },
    {
      id: "filter-actions",
      what: "The same filters choose jobs for actions and redrives; an empty one is no choice",
      shows: "corvo jobs cancel --filter 'queue:QUEUE payload.n>1'",
      async story(api, queue) {
        const kept = await api.add(queue, { payload: { n: 1 } });
        await api.add(queue, { payload: { n: 2 } });
        await api.cli("jobs", "cancel", "--yes", "--filter", `queue:${queue} payload.n>1`);
        return async () => {
          expect(await idsOf(api, `queue:${queue} -state:cancelled`)).toEqual([kept]);
          const empty = { action: "cancel", filter: { q: "" } };
          expect((await api.call("POST", "/api/v1/jobs/bulk", empty)).status).toBe(400);
        };
      },
    },
  ],
  notOffered: [],
};
