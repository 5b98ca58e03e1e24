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

interface Draft {
  readonly changes: readonly MembershipChange[];
  readonly replicas: readonly ReplicaAddress[];
  /** The voters afterwards. */
  readonly voters: readonly ReplicaId[];
}

/** One change of one shard's membership, by its leader: simple or joint, as it falls out. */
export function changeMembers(cluster: SimCluster, random: Random): void {
  const shard = random.pick(cluster.shards);
  const leader = cluster.leaderOf(shard);
  if (leader?.driver === undefined || leader.isPaused) return;
  const current = leader.driver.membership(shard);
  const draft = drawChange(cluster, random, shard, current, readyLearner(leader.driver, shard));
  if (draft === undefined) return;
  const addresses = new Map(
    [...current.replicas, ...draft.replicas].map((one) => [one.replica, one]),
  );
  const isWhole = (replica: ReplicaId): boolean => cluster.isWhole(addresses.get(replica));
  const { voters } = draft;
  if (
    voters.length === 0 ||
    !hasQuorum({ voters, votersOutgoing: current.config.voters }, isWhole)
  ) {
    return;
  }
  leader.driver.changeMembership(shard, draft, ({ status }) => {
    cluster.faults.count(`members ${status}`);
  });
}

/** Only a learner that has most of the log is made a voter: the reconciler does so too. */
function readyLearner(driver: RaftDriver, shard: ShardId): ReplicaId | undefined {
  const { commit, replicas } = driver.status(shard);
  const isReady = (one: ReplicaStatus): boolean =>
    one.role === 'learner' && one.matchIndex > 0 && one.matchIndex >= commit - CAUGHT_UP_ENTRIES;
  return replicas.find(isReady)?.replica;
}

function drawChange(
  cluster: SimCluster,
  random: Random,
  shard: ShardId,
  { config, replicas }: Membership,
  learner: ReplicaId | undefined,
): Draft | undefined {
  const { voters } = config;
  const taken = new Set(replicas.map(({ node }) => node));
  const free = cluster.nodes.filter(({ id, isGone }) => !isGone && !taken.has(id));
  const kind = random.pick(
    learner === undefined
      ? (['learner', 'learner', 'remove'] as const)
      : (['learner', 'promote', 'promote', 'remove', 'swap', 'swap'] as const),
  );
  const anyVoter = random.pick(voters);
  switch (kind) {
    case 'learner': {
      if (free.length === 0) return undefined;
      const { id: node, incarnation } = random.pick(free);
      const replica = cluster.placements.nextReplica(shard);
      const added = { replica, node, incarnation };
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

export function transfer(cluster: SimCluster, random: Random): void {
  const shard = random.pick(cluster.shards);
  const leader = cluster.leaderOf(shard);
  if (leader === undefined || leader.isPaused) return;
  const target = random.pick(cluster.nodes);
  leader.driver!.transferLeadership(shard, target.id, ({ status }) => {
    cluster.faults.count(`transfer ${status}`);
  });
}

/** The machine comes back with its number and an empty directory. */
export function wipe(cluster: SimCluster, node: SimNode, power: boolean): boolean {
  if (node.isGone || !cluster.canLose([node])) return false;
  if (node.isRunning) cluster.crash(node, power);
  node.wipe();
  return true;
}
