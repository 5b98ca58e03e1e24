/** Strikes that take several steps, each upon what came of the one before. */
import type { ShardId } from '../../raft/types.ts';
import { type ChangeKind, changeMembers, transfer } from './churn.ts';
import type { SimNode } from './node.ts';
import { operate } from './operator.ts';
import { linksCut } from './partitions.ts';
import { crash, type Stage } from './stage.ts';

const COUP_MS = 4000;
/** A new leader of a coup is cut off after at most this: often before it commits anything. */
const COUP_DELAY_MAX_MS = 150;
export const CHANGES_MAX = 10;
const CHANGE_GAP_MAX_MS = 600;
/** How long after the news of a joint configuration a machine goes down, at most. */
const AMBUSHES_MS = [1, 20, 100];
const AMBUSH_SHARE = 0.4;
const LAG_MAX_MS = 3000;
/** Delays of a network under load: beside them a heartbeat interval is short. */
const LAGS_MS = [100, 300, 600];
const RIVALRY_MAX_MS = 20;
/** What clients ask of a leader that is cut off. */
const EXILE_TAIL_MAX = 40;
const EXILE_STEP_MAX_MS = 150;
const EXILE_STEPS = 24;
const EXILE_TRIES = 8;

/**
 * Leader after leader is cut off soon after its election while clients still talk to it, and comes
 * back when the next one goes: logs with rival suffixes of many terms (paper, figures 7 and 8).
 */
export function coup(stage: Stage, untilMs = stage.cluster.scheduler.nowMs + COUP_MS): void {
  const { cluster, random } = stage;
  const { network, nodes, scheduler, shards } = cluster;
  stage.later(COUP_DELAY_MAX_MS, () => {
    const shard = random.pick(shards);
    const leader = nodes.find(
      (node) => node.leads(shard) && !network.isCut(node.id, (node.id % nodes.length) + 1),
    );
    if (leader !== undefined) {
      stage.healNetwork();
      const ids = nodes.map(({ id }) => id);
      for (const [from, to] of linksCut('isolate', ids, leader.id, random)) network.cut(from, to);
      cluster.resetConnections(leader);
    }
    if (scheduler.nowMs < untilMs) coup(stage, untilMs);
    else stage.healNetwork();
  });
}

/** Several changes in a row: an operator who replaces one machine by another needs that many. */
export function members(stage: Stage, left: number, draw: () => ChangeKind): void {
  const { cluster, random, later } = stage;
  const { metadata } = cluster;
  if (metadata !== undefined) operate(stage, metadata);
  else changeMembers(cluster, random, draw());
  if (left > 1) later(CHANGE_GAP_MAX_MS, () => members(stage, left - 1, draw));
}

/** Joint changes, and whoever hears of one may go down in it: its leader, a member, or most. */
export function ambush(stage: Stage): void {
  const { cluster, random, later } = stage;
  const untilMs = cluster.scheduler.nowMs + CHANGES_MAX * CHANGE_GAP_MAX_MS;
  const withinMs = random.pick(AMBUSHES_MS);
  cluster.onJoint = (node) => {
    if (cluster.scheduler.nowMs > untilMs || !random.chance(AMBUSH_SHARE)) return;
    later(withinMs, () => crash(stage, node, random.chance(0.5)));
  };
  members(stage, random.between(3, CHANGES_MAX), () => 'joint');
}

/**
 * A leader is cut off and goes on taking proposals; the others elect another one and cut their logs
 * beyond what the exile knows. When it comes back, a snapshot meets a longer log of a former term.
 */
export function exile(stage: Stage, triesLeft = EXILE_TRIES): void {
  const { cluster, random } = stage;
  const shard = random.pick(cluster.dataShards);
  const leader = cluster.leaderOf(shard);
  if (leader === undefined || leader.isPaused) {
    if (triesLeft > 0) stage.later(EXILE_STEP_MAX_MS, () => exile(stage, triesLeft - 1));
    return;
  }
  isolate(stage, leader);
  cluster.onFlood(leader, shard, random.between(4, EXILE_TAIL_MAX));
  leaveBehind(stage, leader, shard, () => stage.healNetwork());
}

/**
 * A follower is cut off until the others have cut their logs beyond what it knows. When it comes
 * back, the leader has spoiled what it could send: the checkpoint must come from somebody else.
 */
export function barren(stage: Stage, spoil: (leader: SimNode) => void, left = EXILE_TRIES): void {
  const { cluster, random } = stage;
  const shard = random.pick(cluster.dataShards);
  const leader = cluster.leaderOf(shard);
  const followers = cluster.nodes.filter((node) => node !== leader && node.driver?.holds(shard));
  if (leader === undefined || followers.length === 0) {
    if (left > 0) stage.later(EXILE_STEP_MAX_MS, () => barren(stage, spoil, left - 1));
    return;
  }
  const behind = random.pick(followers);
  isolate(stage, behind);
  cluster.onFlood(leader, shard, random.between(4, EXILE_TAIL_MAX));
  leaveBehind(stage, behind, shard, () => {
    const giver = cluster.leaderOf(shard);
    if (giver !== undefined) spoil(giver);
    stage.healNetwork();
  });
}

function isolate({ cluster, random }: Stage, node: SimNode): void {
  const { network, nodes } = cluster;
  const ids = nodes.map(({ id }) => id);
  for (const [from, to] of linksCut('isolate', ids, node.id, random)) network.cut(from, to);
  for (const { id } of nodes) cluster.resetConnection(node.id, id);
}

/** The others cut their logs of `shard` until they start after what `behind` knows; then `done`. */
function leaveBehind(
  stage: Stage,
  behind: SimNode,
  shard: ShardId,
  done: () => void,
  left = EXILE_STEPS,
): void {
  const { nodes, swarm } = stage.cluster;
  stage.later(EXILE_STEP_MAX_MS, () => {
    const others = nodes.filter((node) => node !== behind && node.driver?.holds(shard) === true);
    const start = Math.max(0, ...others.map(({ driver }) => driver!.logStart(shard).index));
    if (left === 0 || start > behind.machine.appliedIndex(shard)) {
      done();
      return;
    }
    const all = swarm.retention ? Number.POSITIVE_INFINITY : 0;
    for (const node of others) node.keepLog(shard, () => all);
    leaveBehind(stage, behind, shard, done, left - 1);
  });
}

/** One is asked to take over while the others think that the leader is gone. */
export function rivals({ cluster, random, later }: Stage): void {
  const leader = transfer(cluster, random);
  if (leader !== undefined) later(RIVALRY_MAX_MS, () => cluster.resetConnections(leader));
}

/** Everything is late, for a while, and leaders seem to be gone: votes of many candidates cross. */
export function lag({ cluster, random, later }: Stage): void {
  const { network, nodes, shards, swarm } = cluster;
  for (const shard of shards) {
    for (const node of nodes) if (node.leads(shard)) cluster.resetConnections(node);
  }
  network.faults = { ...network.faults, delayMaxMs: random.pick(LAGS_MS) };
  later(LAG_MAX_MS, () => {
    network.faults = { ...network.faults, delayMaxMs: swarm.delayMaxMs };
  });
}
