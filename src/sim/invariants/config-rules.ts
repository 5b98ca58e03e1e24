/**
 * Configuration rules (paper section 6; thesis 4.1 and 4.3; Ongaro's correction of 2015): from one
 * committed configuration to the next only one voter changes, or a joint configuration is entered
 * from a plain one or left again as it promised; and above the commit index a leader's log never
 * holds two configurations, once one of them is its own. (A new leader may inherit several: they
 * were committed one after the other, only its commit index does not say so yet.)
 */
import { leaveJoint } from '../../../raft/membership.ts';
import {
  type Configuration,
  EntryType,
  type LogIndex,
  type ReplicaId,
  type ShardId,
  type Term,
} from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import type { LogView } from './views.ts';

const isJoint = (config: Configuration): boolean => config.votersOutgoing.length > 0;

function isSameSet(left: readonly ReplicaId[], right: readonly ReplicaId[]): boolean {
  return left.length === right.length && left.every((id) => right.includes(id));
}

function changedVoters(left: Configuration, right: Configuration): number {
  const gone = left.voters.filter((id) => !right.voters.includes(id));
  const come = right.voters.filter((id) => !left.voters.includes(id));
  return gone.length + come.length;
}

/** Which rule the step from one configuration to the next breaks; undefined = none. */
export function brokenStep(before: Configuration, after: Configuration): string | undefined {
  if (after.voters.length === 0) return 'no voter remains';
  if (isJoint(before) && isJoint(after)) return 'joint follows joint';
  if (isJoint(before)) {
    const left = leaveJoint(before);
    const isLeft = isSameSet(left.voters, after.voters) && isSameSet(left.learners, after.learners);
    return isLeft ? undefined : 'joint is left to something else';
  }
  if (isJoint(after)) {
    const isFrom = isSameSet(after.votersOutgoing, before.voters);
    return isFrom ? undefined : 'the outgoing half is not the former voters';
  }
  return changedVoters(before, after) <= 1 ? undefined : 'several voters change in one step';
}

export class ConfigRules {
  readonly #current = new Map<ShardId, Configuration>();

  born(shard: ShardId, config: Configuration): void {
    this.#current.set(shard, config);
  }

  /** As of the last committed configuration entry. */
  current(shard: ShardId): Configuration | undefined {
    return this.#current.get(shard);
  }

  committed(shard: ShardId, index: LogIndex, config: Configuration): void {
    const before = this.#current.get(shard);
    const broken = before === undefined ? undefined : brokenStep(before, config);
    expect(broken === undefined, 'config-step', () => `shard ${shard} index ${index}: ${broken}`);
    this.#current.set(shard, config);
  }

  /** One at a time: looked at whenever a leader has handed entries to its log. */
  expectOneUncommitted(shard: ShardId, term: Term, commit: LogIndex, log: LogView): void {
    let open = 0;
    let isOwn = false;
    for (let index = Math.max(commit, log.base) + 1; index <= log.lastIndex; index++) {
      const entry = log.entry(index);
      if (entry?.type !== EntryType.config) continue;
      open++;
      isOwn ||= entry.term === term;
    }
    const isOne = open <= 1 || !isOwn;
    expect(isOne, 'one-config-change', () => `shard ${shard} term ${term}: ${open} are open`);
  }
}
