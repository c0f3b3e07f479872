import { CorvoError } from "../base/errors.ts";
import type { JobSearch } from "../engine/query.ts";

export class QueryStore implements JobSearch {
  constructor(_path: string, _flush: () => Promise<void>) {}
  page = () => Promise.reject(new CorvoError("SEARCH_ERROR", "search is not part of this build"));
  seqs = () => Promise.reject(new CorvoError("SEARCH_ERROR", "search is not part of this build"));
  text = () => Promise.reject(new CorvoError("SEARCH_ERROR", "search is not part of this build"));
  async close(): Promise<void> {}
}
