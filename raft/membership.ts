/**
 * Changes of a Raft configuration as pure functions (paper section 6, thesis chapter 4). A change
 * of at most one voter is safe in one step because consecutive majorities overlap; anything larger
 * goes through a joint configuration, in which both majorities must agree.
 */
import { RaftError, RaftErrorCode } from './errors.ts';
import { isVoter } from './quorum.ts';
import type { Configuration, LogIndex, Membership, NodeId, ReplicaId } from './types.ts';

export interface MembershipChange {
  /** `update`: facts about the replica that are kept beside the configuration changed. */
  readonly type: 'addVoter' | 'addLearner' | 'remove' | 'update';
  /** The replica id that is changed. 0 = nobody: the change does nothing. */
  readonly node: number;
}

/** Accepts configurations whose empty sets are left out. */
type ConfigurationInput = Partial<Configuration>;

interface Draft {
  voters: Set<number>;
  outgoing: Set<number>;
  learners: Set<number>;
  learnersNext: Set<number>;
}

function refuse(message: string): never {
  throw new RaftError(RaftErrorCode.invalidMembership, message);
}

function draftOf(config: ConfigurationInput): Draft {
  return {
    voters: new Set(config.voters ?? []),
    outgoing: new Set(config.votersOutgoing ?? []),
    learners: new Set(config.learners ?? []),
    learnersNext: new Set(config.learnersNext ?? []),
  };
}

function sorted(ids: Set<number>): number[] {
  return [...ids].sort((left, right) => left - right);
}

/** The one gateway to a finished configuration: its sets do not contradict each other. */
function finished(draft: Draft): Configuration {
  for (const learner of draft.learners) {
    if (draft.voters.has(learner)) refuse(`${learner} would be learner and voter`);
    if (draft.outgoing.has(learner)) refuse(`${learner} would be learner and outgoing voter`);
  }
  for (const learner of draft.learnersNext) {
    if (!draft.outgoing.has(learner)) refuse(`${learner} is to be demoted but was no voter`);
    if (draft.voters.has(learner)) refuse(`${learner} is to be demoted and stays a voter`);
  }
  return {
    voters: sorted(draft.voters),
    votersOutgoing: sorted(draft.outgoing),
    learners: sorted(draft.learners),
    learnersNext: sorted(draft.learnersNext),
  };
}

function applyChange(draft: Draft, change: MembershipChange): void {
  const { type, node } = change;
  if (node === 0) return;
  switch (type) {
    case 'addVoter':
      forget(draft, node);
      draft.voters.add(node);
      break;
    case 'addLearner':
      makeLearner(draft, node);
      break;
    case 'remove':
      forget(draft, node);
      break;
    case 'update':
      break;
    default: {
      // Changes come from outside, too: what is not understood must not pass for a removal.
      const unknown: never = type;
      refuse(`${String(unknown)} is no change`);
    }
  }
}

function forget(draft: Draft, node: number): void {
  draft.voters.delete(node);
  draft.learners.delete(node);
  draft.learnersNext.delete(node);
}

function makeLearner(draft: Draft, node: number): void {
  if (draft.learners.has(node) || draft.learnersNext.has(node)) return;
  forget(draft, node);
  // A voter of the outgoing half still counts there: it turns learner when the joint step ends.
  if (draft.outgoing.has(node)) draft.learnersNext.add(node);
  else draft.learners.add(node);
}

function applyChanges(draft: Draft, changes: readonly MembershipChange[]): void {
  for (const change of changes) applyChange(draft, change);
  if (draft.voters.size === 0) refuse('no voter would remain');
}

function differences(left: ReadonlySet<number>, right: ReadonlySet<number>): number {
  let count = 0;
  for (const id of left) if (!right.has(id)) count++;
  for (const id of right) if (!left.has(id)) count++;
  return count;
}

export function isJoint(config: Pick<ConfigurationInput, 'votersOutgoing'>): boolean {
  return (config.votersOutgoing ?? []).length > 0;
}

/** One step that adds, removes, promotes or demotes at most one voter (and any learners). */
export function simple(
  config: ConfigurationInput,
  changes: readonly MembershipChange[] = [],
): Configuration {
  const draft = draftOf(config);
  if (draft.outgoing.size > 0) refuse('a simple change is not allowed in a joint configuration');
  applyChanges(draft, changes);
  if (differences(draftOf(config).voters, draft.voters) > 1) {
    refuse('more than one voter would change without a joint configuration');
  }
  return finished(draft);
}

/** First half of a large change: the present voters become the outgoing half. */
export function enterJoint(
  config: ConfigurationInput,
  changes: readonly MembershipChange[] = [],
  options: { readonly autoLeave?: boolean } = {},
): Configuration {
  const draft = draftOf(config);
  if (draft.outgoing.size > 0) refuse('the configuration is already joint');
  if (draft.voters.size === 0) refuse('a configuration without voters cannot become joint');
  draft.outgoing = new Set(draft.voters);
  applyChanges(draft, changes);
  const joint = finished(draft);
  return options.autoLeave ? { ...joint, autoLeave: true } : joint;
}

/** Second half: the outgoing voters go, the demoted become learners. */
export function leaveJoint(config: ConfigurationInput): Configuration {
  const draft = draftOf(config);
  if (draft.outgoing.size === 0) refuse('the configuration is not joint');
  for (const learner of draft.learnersNext) draft.learners.add(learner);
  draft.learnersNext.clear();
  draft.outgoing.clear();
  return finished(draft);
}

/** Everybody to replicate to. */
export function membersOf(config: Configuration): ReplicaId[] {
  const all = [...config.voters, ...config.votersOutgoing, ...config.learners];
  return [...new Set([...all, ...config.learnersNext])];
}

/**
 * The memberships of a log: the first as of its start, then one per configuration entry. The
 * newest one rules from the moment it is appended, committed or not (thesis 4.1), and stops ruling
 * when its entry is truncated.
 */
export class MembershipHistory {
  #steps: { readonly index: LogIndex; readonly membership: Membership }[];
  #nodes: ReadonlyMap<ReplicaId, NodeId>;

  constructor(index: LogIndex, membership: Membership) {
    this.#steps = [{ index, membership }];
    this.#nodes = nodesOf(membership);
  }

  get current(): Membership {
    return this.#steps.at(-1)!.membership;
  }

  /** Of the entry that brought the ruling membership, or of the log's start. */
  get lastIndex(): LogIndex {
    return this.#steps.at(-1)!.index;
  }

  nodeOf(replica: ReplicaId): NodeId | undefined {
    return this.#nodes.get(replica);
  }

  /** Mostly one; two while one takes the other's place. */
  replicasOn(node: NodeId): ReplicaId[] {
    return [...this.#nodes].filter(([, on]) => on === node).map(([replica]) => replica);
  }

  /**
   * A voter of the ruling membership, or of one that rules again if those after `commit` are taken
   * back. Whoever is voted out by an entry that is not committed may be the only one that has it:
   * it still campaigns, without counting itself (thesis 4.2.2).
   */
  hasVote(replica: ReplicaId, commit: LogIndex): boolean {
    for (let at = this.#steps.length - 1; at >= 0; at--) {
      const { index, membership } = this.#steps[at]!;
      if (isVoter(membership.config, replica)) return true;
      if (index <= commit) return false;
    }
    return false;
  }

  append(index: LogIndex, membership: Membership): void {
    this.#steps.push({ index, membership });
    this.#nodes = nodesOf(membership);
  }

  /** True when the ruling membership changed. */
  truncateFrom(index: LogIndex): boolean {
    const before = this.#steps.length;
    while (this.#steps.length > 1 && this.#steps.at(-1)!.index >= index) this.#steps.pop();
    if (this.#steps.length === before) return false;
    this.#nodes = nodesOf(this.current);
    return true;
  }

  /** A snapshot took the place of the whole log. */
  replaceBy(index: LogIndex, membership: Membership): void {
    this.#steps = [{ index, membership }];
    this.#nodes = nodesOf(membership);
  }

  /** The membership as of a new start of the log; older ones are forgotten. */
  startAt(index: LogIndex): Membership {
    while (this.#steps.length > 1 && this.#steps[1]!.index <= index) this.#steps.shift();
    return this.#steps[0]!.membership;
  }

  /** The membership that rules with everything through `index` in the log. */
  asOf(index: LogIndex): Membership {
    return this.#steps.findLast((step) => step.index <= index)?.membership ?? this.first;
  }

  get first(): Membership {
    return this.#steps[0]!.membership;
  }
}

function nodesOf(membership: Membership): ReadonlyMap<ReplicaId, NodeId> {
  return new Map(membership.replicas.map(({ replica, node }) => [replica, node]));
}
