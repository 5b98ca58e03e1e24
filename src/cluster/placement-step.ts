/**
 * What a shard's leader does next to bring the shard where the metadata wants it. Pure: from the
 * wanted placement and the ruling configuration to one step; after each step it is asked again, so
 * a new leader goes on wherever the old one stopped.
 *
 *   add learners ──► caught up ──► (hand over, if this leader goes) ──► one change ──► report
 */
import { isJoint, type MembershipChange, membersOf } from '../../raft/membership.ts';
import type { Membership, NodeId, ReplicaAddress, ReplicaId } from '../../raft/types.ts';
import type { ShardPlacement } from './api.ts';

export type PlacementStep =
  /** Inherited or own: the leader brings it to its end by itself. */
  | { readonly type: 'awaitChange' }
  | {
      readonly type: 'change';
      readonly changes: readonly MembershipChange[];
      /** Addresses of the replicas that are new in the configuration. */
      readonly replicas: readonly ReplicaAddress[];
    }
  | { readonly type: 'awaitCatchUp'; readonly replicas: readonly ReplicaId[] }
  /** Most voters of the next configuration are out of reach: it could commit nothing. */
  | { readonly type: 'awaitVoters' }
  /** This leader's replica goes: one that stays takes over first. */
  | { readonly type: 'handOver'; readonly to: NodeId }
  | { readonly type: 'report' }
  /** All is as wanted, but another node should lead. */
  | { readonly type: 'balance'; readonly to: NodeId; readonly replica: ReplicaId }
  | { readonly type: 'settled' };

export interface StepFacts {
  readonly placement: ShardPlacement;
  readonly membership: Membership;
  /** `membership` is committed. Before, another leader may still take it back. */
  readonly isSettled: boolean;
  /** The leader's own replica. */
  readonly self: ReplicaId;
  isCaughtUp(replica: ReplicaId): boolean;
  /** Connected, and heard of within an election timeout. */
  isUp(node: NodeId): boolean;
}

export function nextStep(facts: StepFacts): PlacementStep {
  const { placement, membership, isSettled } = facts;
  const { config } = membership;
  // A report lets go of the replicas that the configuration before still needs.
  if (!isSettled || isJoint(config)) return { type: 'awaitChange' };
  const wanted = [...placement.voters, ...placement.learners];
  const isWanted = (replica: ReplicaId) => wanted.some((one) => one.replica === replica);
  const members = membersOf(config);
  const missing = wanted.filter(({ replica }) => !members.includes(replica));
  const strays = config.learners.filter((replica) => !isWanted(replica));
  if (missing.length > 0 || strays.length > 0) return addLearners(missing, strays);
  const voters = placement.voters.map(({ replica }) => replica);
  const isRight =
    voters.length === config.voters.length &&
    voters.every((replica) => config.voters.includes(replica));
  return isRight ? finish(facts) : changeVoters(facts, voters);
}

/** No voter changes: one simple step, whatever the number of learners. */
function addLearners(
  missing: readonly ReplicaAddress[],
  strays: readonly ReplicaId[],
): PlacementStep {
  return {
    type: 'change',
    changes: [
      ...missing.map(({ replica }) => change('addLearner', replica)),
      ...strays.map((replica) => change('remove', replica)),
    ],
    replicas: missing,
  };
}

function changeVoters(facts: StepFacts, wanted: readonly ReplicaId[]): PlacementStep {
  const { placement, membership, self, isCaughtUp } = facts;
  const { voters } = membership.config;
  const promoted = wanted.filter((replica) => !voters.includes(replica));
  const behind = promoted.filter((replica) => !isCaughtUp(replica));
  if (behind.length > 0) return { type: 'awaitCatchUp', replicas: behind };
  const promotions = promoted.map((replica) => change('addVoter', replica));
  const staying = placement.voters.filter(({ replica }) => voters.includes(replica));
  if (!wanted.includes(self) && staying.length > 0) return handOver(facts, staying);
  const isLearner = (replica: ReplicaId) =>
    placement.learners.some((one) => one.replica === replica);
  // If nobody stays, the new voters come in beside this leader first. All others go then too: a
  // new one may live on the node of an old one, and no node has two votes.
  const demotions = voters
    .filter((replica) => !wanted.includes(replica) && replica !== self)
    .map((replica) => change(isLearner(replica) ? 'addLearner' : 'remove', replica));
  const next = wanted.includes(self) ? wanted : [...wanted, self];
  return changeTo(facts, next, [...promotions, ...demotions]);
}

/**
 * A configuration rules as soon as it is in the log (thesis 4.1), and only its own majority can
 * commit it or anything after it. The one before has a majority: this leader leads by it.
 */
function changeTo(
  { placement, membership, self, isUp }: StepFacts,
  voters: readonly ReplicaId[],
  changes: readonly MembershipChange[],
): PlacementStep {
  const addresses = [...membership.replicas, ...placement.voters];
  const isHeard = (voter: ReplicaId) =>
    voter === self || addresses.some(({ replica, node }) => replica === voter && isUp(node));
  if (voters.filter(isHeard).length <= voters.length / 2) return { type: 'awaitVoters' };
  return { type: 'change', changes, replicas: [] };
}

function handOver(facts: StepFacts, staying: readonly ReplicaAddress[]): PlacementStep {
  const caughtUp = staying.filter(({ replica }) => facts.isCaughtUp(replica));
  const able = caughtUp.filter(({ node }) => facts.isUp(node));
  if (able.length === 0) {
    return { type: 'awaitCatchUp', replicas: staying.map(({ replica }) => replica) };
  }
  const preferred = able.find(({ node }) => node === facts.placement.leader);
  return { type: 'handOver', to: (preferred ?? able[0]!).node };
}

function finish({ placement, self }: StepFacts): PlacementStep {
  if (placement.placedVersion !== placement.version) return { type: 'report' };
  const preferred = placement.voters.find(({ node }) => node === placement.leader);
  if (preferred === undefined || preferred.replica === self) return { type: 'settled' };
  return { type: 'balance', to: preferred.node, replica: preferred.replica };
}

function change(type: MembershipChange['type'], node: ReplicaId): MembershipChange {
  return { type, node };
}
