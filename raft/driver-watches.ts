/** Whoever waits until a replica has a certain part of the leader's log. */
import type { RaftCore } from './core.ts';
import { membersOf } from './membership.ts';
import type { LogIndex, ReplicaId } from './types.ts';

/** `false`: this replica leads no more, or the other one left the configuration. */
export type MatchDone = (matched: boolean) => void;

interface Watch {
  readonly replica: ReplicaId;
  readonly index: LogIndex;
  readonly done: MatchDone;
}

export class MatchWatches {
  #watches: Watch[] = [];

  add(replica: ReplicaId, index: LogIndex, done: MatchDone): void {
    this.#watches.push({ replica, index, done });
  }

  /** After every pass over the shard; costs nothing while nobody waits. */
  settle(core: RaftCore): void {
    if (this.#watches.length === 0) return;
    const members = core.role === 'leader' ? membersOf(core.currentMembership.config) : [];
    const due = this.#watches.filter(
      ({ replica, index }) => !members.includes(replica) || core.matchOf(replica) >= index,
    );
    if (due.length === 0) return;
    this.#watches = this.#watches.filter((watch) => !due.includes(watch));
    for (const { replica, done } of due) done(members.includes(replica));
  }

  abandonAll(): void {
    const left = this.#watches;
    this.#watches = [];
    for (const { done } of left) done(false);
  }
}
