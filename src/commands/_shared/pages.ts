/** All pages of a list, one after the other. */
import { requestLimits } from "../../api/limits.ts";

export interface PageAsked {
  readonly limit: number;
  readonly cursor?: string;
}

export async function* pages<Page extends { readonly cursor?: string }>(
  ask: (query: PageAsked) => Promise<Page>,
): AsyncGenerator<Page> {
  for (let cursor: string | undefined; ; ) {
    const page = await ask({
      limit: requestLimits.pageRowsMax,
      ...(cursor === undefined ? {} : { cursor }),
    });
    yield page;
    cursor = page.cursor;
    if (cursor === undefined) return;
  }
}
