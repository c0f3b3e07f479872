/**
 * A promised feature: what it is, the call that shows it, and a story that proves it on a running server. A story acts,
 * and returns what is to be checked afterwards: between the two, the leader of a cluster is killed.
 */
import type { Api } from "./api.ts";

export interface Feature {
  /** Unique, short, in kebab case; also the stem of the story's queue names. */
  readonly id: string;
  /** What a user gets, in a few words. */
  readonly what: string;
  /** Command or call that shows it. */
  readonly shows: string;
  /** Acts and checks; what it returns is checked after the leader was killed. */
  readonly story: (api: Api, queue: string) => Promise<() => Promise<void>>;
}

/** A feature that other systems have and this one does not offer, with the reason. */
export interface NotOffered {
  readonly what: string;
  readonly because: string;
}

export interface Chapter {
  readonly title: string;
  readonly features: readonly Feature[];
  readonly notOffered: readonly NotOffered[];
}
