/** Members come and go, machines lose their directories, leaders hand over. */
import type { RaftDriver } from '../../raft/driver.ts';
import type { ReplicaStatus } from '../../raft/driver-types.ts';
import type { MembershipChange } from '../../raft/membership.ts';
import type { Membership, ReplicaAddress, ReplicaId, ShardId } from '../../raft/types.ts';
import type { SimCluster } from './cluster.ts';
import type { SimNode } from './node.ts';
import { hasQuorum } from './placements.ts';
import type { Random } from './random.ts';

const CAUGHT_UP_ENTRIES = 20;
/** How often a joint change brings in a new learner besides. */
const NEWCOMER_SHARE = 0.3;
/** How often a suspect replica is what a change is about, if there is one. */
const SUCCESSOR_SHARE = 0.7;

interface Draft {
  readonly changes: readonly MembershipChange[];
  readonly replicas: readonly ReplicaAddress[];
  /** The voters afterwards. */
  readonly voters: readonly ReplicaId[];
}

/** What is known when a change is drawn. */
interface Scene {
  readonly cluster: SimCluster;
  readonly random: Random;
  readonly shard: ShardId;
  readonly current: Membership;
  /** Learners that have most of the log. */
  readonly ready: readonly ReplicaId[];
}

/** any: of one voter at most; joint: of several at once. */
export type ChangeKind = 'any' | 'joint';

/** One change of one shard's membership, by its leader. */
export function changeMembers(cluster: SimCluster, random: Random, kind: ChangeKind): void {
  const shard = random.pick(cluster.shards);
  const leader = cluster.leaderOf(shard);
  if (leader?.driver === undefined || leader.isPaused) return;
  const current = leader.driver.membership(shard);
  const scene = { cluster, random, shard, current, ready: readyLearners(leader.driver, shard) };
  const draft = kind === 'joint' ? drawJoint(scene) : drawChange(scene);
  if (draft === undefined) return;
  const addresses = new Map(
    [...current.replicas, ...draft.replicas].map((one) => [one.replica, one]),
  );
  const isSound = (replica: ReplicaId): boolean => cluster.isSound(addresses.get(replica));
  const { voters } = draft;
  if (
    voters.length === 0 ||
    !hasQuorum({ voters, votersOutgoing: current.config.voters }, isSound)
  ) {
    return;
  }
  leader.driver.changeMembership(shard, draft, ({ status }) => {
    cluster.faults.count(`members ${status}`);
  });
}

/** Only a learner that has most of the log is made a voter: the reconciler does so too. */
function readyLearners(driver: RaftDriver, shard: ShardId): readonly ReplicaId[] {
  const { commit, replicas } = driver.status(shard);
  const isReady = (one: ReplicaStatus): boolean =>
    one.role === 'learner' && one.matchIndex > 0 && one.matchIndex >= commit - CAUGHT_UP_ENTRIES;
  return replicas.filter(isReady).map(({ replica }) => replica);
}

/** On a machine that has no replica of the shard. */
function newcomer({ cluster, random, shard, current }: Scene): ReplicaAddress | undefined {
  const taken = new Set(current.replicas.map(({ node }) => node));
  const free = cluster.nodes.filter(({ id, isGone }) => !isGone && !taken.has(id));
  if (free.length === 0) return undefined;
  const { id: node, incarnation } = random.pick(free);
  return { replica: cluster.placements.nextReplica(shard), node, incarnation };
}

/** At least two voters change: some are demoted, some leave, learners take their places. */
function drawJoint(scene: Scene): Draft | undefined {
  const { random, current, ready } = scene;
  const voters = new Set(current.config.voters);
  const changes: MembershipChange[] = [];
  for (const learner of ready) {
    if (random.chance(0.3)) continue;
    changes.push({ type: 'addVoter', node: learner });
    voters.add(learner);
  }
  for (const voter of random.shuffled(current.config.voters)) {
    const isEnough = changes.length >= 2 && random.chance(0.5);
    if (isEnough || voters.size === 1) break;
    changes.push({ type: random.chance(0.5) ? 'addLearner' : 'remove', node: voter });
    voters.delete(voter);
  }
  if (changes.length < 2) return undefined;
  const added = random.chance(NEWCOMER_SHARE) ? newcomer(scene) : undefined;
  if (added === undefined) return { changes, replicas: [], voters: [...voters] };
  changes.push({ type: 'addLearner', node: added.replica });
  return { changes, replicas: [added], voters: [...voters] };
}

/** As the metadata has it done: a new replica beside the suspect one, then one for the other. */
function drawSuccessor({ cluster, shard, current, ready }: Scene): Draft | undefined {
  const { voters } = current.config;
  const suspect = current.replicas.find((one) => {
    return voters.includes(one.replica) && cluster.isSuspect(shard, one);
  });
  if (suspect === undefined) return undefined;
  const { node } = suspect;
  const beside = current.replicas.find((one) => one.node === node && one !== suspect);
  if (beside === undefined) {
    const { incarnation } = cluster.node(node);
    const added = { replica: cluster.placements.nextReplica(shard), node, incarnation };
    return { changes: [{ type: 'addLearner', node: added.replica }], replicas: [added], voters };
  }
  if (!ready.includes(beside.replica)) return undefined;
  const staying = voters.filter((voter) => voter !== suspect.replica);
  const changes = [
    { type: 'addVoter', node: beside.replica },
    { type: 'remove', node: suspect.replica },
  ] as const;
  return { changes, replicas: [], voters: [...staying, beside.replica] };
}

function drawChange(scene: Scene): Draft | undefined {
  const { random, current, ready } = scene;
  const successor = random.chance(SUCCESSOR_SHARE) ? drawSuccessor(scene) : undefined;
  if (successor !== undefined) return successor;
  const { voters } = current.config;
  const [learner] = ready;
  const kind = random.pick(
    learner === undefined
      ? (['learner', 'learner', 'remove'] as const)
      : (['learner', 'promote', 'promote', 'remove', 'swap', 'swap'] as const),
  );
  const anyVoter = random.pick(voters);
  switch (kind) {
    case 'learner': {
      const added = newcomer(scene);
      if (added === undefined) return undefined;
      const { replica } = added;
      return { changes: [{ type: 'addLearner', node: replica }], replicas: [added], voters };
    }
    case 'promote':
      if (learner === undefined) return undefined;
      return {
        changes: [{ type: 'addVoter', node: learner }],
        replicas: [],
        voters: [...voters, learner],
      };
    case 'remove': {
      const gone = learner !== undefined && random.chance(0.3) ? learner : anyVoter;
      return {
        changes: [{ type: 'remove', node: gone }],
        replicas: [],
        voters: voters.filter((voter) => voter !== gone),
      };
    }
    default:
      if (learner === undefined) return undefined;
      return {
        changes: [
          { type: 'addVoter', node: learner },
          { type: 'remove', node: anyVoter },
        ],
        replicas: [],
        voters: [...voters.filter((voter) => voter !== anyVoter), learner],
      };
  }
}

/** Gives who was asked to hand over. */
export function transfer(cluster: SimCluster, random: Random): SimNode | undefined {
  const shard = random.pick(cluster.shards);
  const leader = cluster.leaderOf(shard);
  if (leader === undefined || leader.isPaused) return undefined;
  const target = random.pick(cluster.nodes);
  leader.driver!.transferLeadership(shard, target.id, ({ status }) => {
    cluster.faults.count(`transfer ${status}`);
  });
  return leader;
}

/** The machine comes back with its number and an empty directory. */
export function wipe(cluster: SimCluster, node: SimNode, power: boolean): boolean {
  if (node.isGone || !cluster.canLose([node])) return false;
  if (node.isRunning) cluster.crash(node, power);
  node.wipe();
  return true;
}
