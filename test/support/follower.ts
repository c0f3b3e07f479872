/** Two HTTP apps over loopback, of which one leads and the other passes calls on. The caller of `stopAll` ends them. */
import { type HttpFixture, httpFixture } from "./http-app.ts";

type Options = NonNullable<Parameters<typeof httpFixture>[0]>;

/** Leadership that a test changes. */
export function leadership(leaderUrl: string | undefined) {
  const state = { leads: false, url: leaderUrl };
  return { state, isLeader: () => state.leads, leaderUrl: () => state.url };
}

export const started: HttpFixture[] = [];

export async function stopAll(): Promise<void> {
  for (const fixture of started.splice(0)) await fixture.app.stop(0);
}

export function pair(leaderOptions: Options = {}, followerOptions: Options = {}) {
  const leader = httpFixture(leaderOptions);
  const leaderUrl = leader.listen();
  const forward = leadership(leaderUrl);
  const follower = httpFixture({ ...followerOptions, forward });
  started.push(follower, leader);
  return { leader, leaderUrl, follower, url: follower.listen(), forward };
}

export async function follow(leaderUrl: string | undefined) {
  const forward = leadership(leaderUrl);
  const follower = httpFixture({ forward });
  started.push(follower);
  return { forward, follower, url: follower.listen() };
}
