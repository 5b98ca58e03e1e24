/** What may be done to a cluster, one function per kind of fault. */
import { changeMembers, transfer, wipe } from './churn.ts';
import type { SimCluster } from './cluster.ts';
import type { SimNode } from './node.ts';
import { linksCut, PARTITIONS, type Partition } from './partitions.ts';
import type { Random } from './random.ts';

const DOWN_MAX_MS = 3000;
const CUT_MAX_MS = 5000;
const COUP_MS = 4000;
/** A new leader of a coup is cut off after at most this: often before it commits anything. */
const COUP_DELAY_MAX_MS = 150;
const CLOCK_JUMP_MAX_MS = 3_600_000;
const BAD_DISK_MAX_MS = 1500;
const FULL_DISK_MAX_MS = 4000;
const SLOW_DISK_MAX_MS = 4000;
/** Pauses, in election timeouts (reliability section 6). */
const PAUSES = [0.5, 2, 5];
const OPERATIONS_TO_CRASH_MAX = 24;

const CHANGES_MAX = 10;
const CHANGE_GAP_MAX_MS = 600;

/** What a strike works with. */
export interface Stage {
  readonly cluster: SimCluster;
  readonly random: Random;
  /** Within so long, unless the faults have ended by then. */
  later(maxMs: number, run: () => void): void;
  restartLater(node: SimNode): void;
  healNetwork(): void;
}

type Strike = (stage: Stage, victim: SimNode) => void;

function crash({ cluster, restartLater }: Stage, node: SimNode, power: boolean): void {
  if (!node.isRunning) return;
  cluster.crash(node, power);
  restartLater(node);
}

function cut(stage: Stage, victim: SimNode, partition: Partition): void {
  const { cluster, random } = stage;
  const ids = cluster.nodes.map(({ id }) => id);
  const links = linksCut(partition, ids, victim.id, random);
  for (const [from, to] of links) cluster.network.cut(from, to);
  // A cut that breaks connections is noticed at once; a silent one only by timeouts.
  if (random.chance(0.5)) {
    for (const [from, to] of links) cluster.resetConnection(from, to);
  }
  stage.later(CUT_MAX_MS, () => stage.healNetwork());
}

/**
 * Leader after leader is cut off soon after its election while clients still talk to it, and comes
 * back when the next one goes: logs with rival suffixes of many terms (paper, figures 7 and 8).
 */
function coup(stage: Stage, untilMs: number): void {
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

function pause({ cluster, random, later }: Stage, node: SimNode): void {
  if (!node.isRunning || node.isPaused) return;
  node.pause();
  const { electionTimeoutMs } = cluster.swarm.raft;
  later(random.pick(PAUSES) * electionTimeoutMs, () => node.resume());
}

/** For a while the disk of one node is not itself. */
function spoilDisk(
  { later }: Stage,
  { disk }: SimNode,
  maxMs: number,
  spoil: (faults: SimNode['disk']['files']['faults']) => void,
): void {
  const { faults } = disk.files;
  spoil(faults);
  later(maxMs, () => disk.files.heal());
}

/**
 * Checkpoints of one machine; with retention, its log starts at the newest one that everybody has
 * reached. Nobody is waited for who is down, and in some histories nobody at all.
 */
function checkpoint({ cluster, random }: Stage): void {
  const { nodes, swarm, shards } = cluster;
  const shard = random.pick(shards);
  const through = (): number => {
    if (!swarm.retention) return 0;
    if (random.chance(swarm.hastyTrimRate)) return Number.POSITIVE_INFINITY;
    const held = nodes.filter(({ driver }) => driver?.holds(shard) === true);
    return Math.min(...held.map(({ machine }) => machine.persistedIndex(shard)));
  };
  for (const node of nodes) if (random.chance(0.7)) node.keepLog(shard, through);
}

/** Several changes in a row: an operator who replaces one machine by another needs that many. */
function members(stage: Stage, left: number): void {
  const { cluster, random, later } = stage;
  changeMembers(cluster, random);
  if (left > 1) later(CHANGE_GAP_MAX_MS, () => members(stage, left - 1));
}

const PARTITION_STRIKES = Object.fromEntries(
  PARTITIONS.map((partition) => [
    partition,
    (stage: Stage, victim: SimNode) => cut(stage, victim, partition),
  ]),
) as Record<Partition, Strike>;

export const STRIKES = {
  ...PARTITION_STRIKES,
  kill: (stage, victim) => crash(stage, victim, false),
  power: (stage, victim) => crash(stage, victim, true),
  killAll: (stage) => {
    for (const node of stage.cluster.nodes) crash(stage, node, false);
  },
  powerAll: (stage) => {
    for (const node of stage.cluster.nodes) crash(stage, node, true);
  },
  crashSoon: ({ random }, { disk }) =>
    disk.files.crashAtOperation(random.between(1, OPERATIONS_TO_CRASH_MAX)),
  coup: (stage) => coup(stage, stage.cluster.scheduler.nowMs + COUP_MS),
  reset: ({ cluster, later }, victim) => {
    if (!victim.isUp) return;
    cluster.resetConnections(victim);
    later(200, () => cluster.reconnect(victim));
  },
  pause,
  pauseMost: (stage) => {
    const { nodes } = stage.cluster;
    const first = stage.random.between(0, nodes.length - 1);
    const most = (nodes.length >> 1) + 1;
    for (let at = 0; at < most; at++) pause(stage, nodes[(first + at) % nodes.length]!);
  },
  clockJump: ({ random }, { clock }) => {
    clock.wallOffsetMs = random.between(-CLOCK_JUMP_MAX_MS, CLOCK_JUMP_MAX_MS);
  },
  badDisk: (stage, victim) =>
    spoilDisk(stage, victim, BAD_DISK_MAX_MS, (faults) => {
      const rate = stage.random.pick([0.1, 0.5]);
      const kind = stage.random.pick(['writeErrorRate', 'syncErrorRate', 'readErrorRate'] as const);
      // Most reads are answered from memory: one that reaches the disk must meet it.
      faults[kind] = kind === 'readErrorRate' ? 1 : rate;
    }),
  fullDisk: (stage, victim) =>
    spoilDisk(stage, victim, FULL_DISK_MAX_MS, (faults) => {
      faults.isFull = true;
    }),
  slowDisk: (stage, victim) =>
    spoilDisk(stage, victim, SLOW_DISK_MAX_MS, (faults) => {
      faults.slowness = stage.random.pick([10, 100]);
    }),
  checkpoint,
  members: (stage) => members(stage, stage.random.between(3, CHANGES_MAX)),
  transfer: ({ cluster, random }) => transfer(cluster, random),
  wipe: (stage, victim) => {
    if (!wipe(stage.cluster, victim, stage.random.chance(0.5))) return;
    stage.cluster.faults.count('wiped');
    stage.restartLater(victim);
  },
} as const satisfies Record<string, Strike>;

export type StrikeKind = keyof typeof STRIKES;

/** No fault, and needed in every history. */
export const ALWAYS: readonly StrikeKind[] = ['checkpoint', 'checkpoint', 'checkpoint'];
export const STRIKE_KINDS = (Object.keys(STRIKES) as StrikeKind[]).filter(
  (kind) => !ALWAYS.includes(kind),
);

export { DOWN_MAX_MS };
