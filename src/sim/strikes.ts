/** What may be done to a cluster, one function per kind of fault. */
import { type ChangeKind, transfer, wipe } from './churn.ts';
import type { FileFaults } from './files.ts';
import type { FlipPart, SimNode } from './node.ts';
import { linksCut, PARTITIONS, type Partition } from './partitions.ts';
import { ambush, barren, CHANGES_MAX, coup, exile, lag, members, rivals } from './plots.ts';
import { crash, type Stage } from './stage.ts';

const SOON_MAX_MS = 300;
const CUT_MAX_MS = 5000;
const CLOCK_JUMP_MAX_MS = 3_600_000;
const BAD_DISK_MAX_MS = 1500;
const ERROR_RATES = [
  'writeErrorRate',
  'syncErrorRate',
  'readErrorRate',
  'levelErrorRate',
] as const satisfies readonly (keyof FileFaults)[];
/** Most reads are answered from memory: one that reaches the disk must meet it. */
const RARE_OPERATIONS: readonly (keyof FileFaults)[] = ['readErrorRate', 'levelErrorRate'];
const FULL_DISK_MAX_MS = 4000;
const SLOW_DISK_MAX_MS = 4000;
/** Pauses, in election timeouts (reliability section 6). */
const PAUSES = [0.5, 2, 5];
const OPERATIONS_TO_CRASH_MAX = 24;

/** One lost header makes every replica of the machine suspect. */
const FLIPPED_PARTS: readonly FlipPart[] = [
  ...(['body', 'body', 'body', 'header', 'header'] as const),
  ...(['checkpoint', 'checkpoint', 'checkpoint', 'row', 'cache'] as const),
];

const ROTTEN_PARTS: readonly FlipPart[] = ['body', 'body', 'header', 'header', 'checkpoint'];
const ROTTEN_BITS_MAX = 5;

const CHANGE_KINDS: readonly ChangeKind[] = ['any', 'any', 'joint'];

type Strike = (stage: Stage, victim: SimNode) => void;

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

function badDisk(stage: Stage, victim: SimNode): void {
  const { random } = stage;
  const kind = random.pick(ERROR_RATES);
  const rate = random.pick([0.1, 0.5]);
  const isRare = RARE_OPERATIONS.includes(kind);
  spoilDisk(stage, victim, isRare ? 2 * BAD_DISK_MAX_MS : BAD_DISK_MAX_MS, (faults) => {
    faults[kind] = isRare ? 1 : rate;
  });
  if (kind !== 'readErrorRate') return;
  // Who starts reads all there is, and a checkpoint is read back.
  if (random.chance(0.5)) crash(stage, victim, false, SOON_MAX_MS);
  else stage.later(SOON_MAX_MS, () => checkpoint(stage));
}

/** Never where the last quorum of intact copies is: a machine that was hit counts as lost. */
function mayFlip({ cluster }: Stage, victim: SimNode): boolean {
  if (victim.isGone || !cluster.canLose([victim])) return false;
  return cluster.metadata?.mayHit(victim) !== false;
}

function flip({ cluster, random }: Stage, victim: SimNode, part: FlipPart): boolean {
  const isHit = victim.flipBit(part, random);
  if (isHit) cluster.faults.count(`flipped ${part}`);
  return isHit;
}

function bitFlip(stage: Stage, victim: SimNode): void {
  const { random } = stage;
  if (!mayFlip(stage, victim) || !flip(stage, victim, random.pick(FLIPPED_PARTS))) return;
  // Who starts reads all there is; and what others have trimmed meanwhile, they cannot give.
  if (random.chance(0.9)) stage.later(SOON_MAX_MS, () => crash(stage, victim, random.chance(0.5)));
  if (random.chance(0.6)) stage.later(SOON_MAX_MS, () => checkpoint(stage, 1));
}

/**
 * The power goes, and when it is back bits have turned over in what the state store had not synced
 * yet and reads again now. Meanwhile the others trim what a repair would need.
 */
function rot(stage: Stage, victim: SimNode): void {
  const { random, cluster } = stage;
  if (!victim.isUp || !mayFlip(stage, victim)) return;
  const part = random.pick(ROTTEN_PARTS);
  for (let bits = random.between(1, ROTTEN_BITS_MAX); bits > 0; bits--) flip(stage, victim, part);
  crash(stage, victim, true);
  for (const _ of cluster.shards) stage.later(SOON_MAX_MS, () => checkpoint(stage, 1));
}

function spoilCheckpoints(stage: Stage, leader: SimNode): void {
  if (!mayFlip(stage, leader)) return;
  for (let bits = ROTTEN_BITS_MAX; bits > 0; bits--) flip(stage, leader, 'checkpoint');
}

/**
 * Checkpoints of one shard. With retention, logs start at the newest one that everybody has
 * reached, whatever they hold: nobody is waited for who is down, and in some histories nobody at
 * all. Without, they start where the trims that were agreed on allow it, as production's do.
 */
function checkpoint({ cluster, random }: Stage, hastyTrimRate?: number): void {
  const { nodes, swarm, shards } = cluster;
  const shard = random.pick(shards);
  const through = ({ machine }: SimNode): number => {
    if (!swarm.retention) return machine.life.machine.logTrim(shard);
    if (random.chance(hastyTrimRate ?? swarm.hastyTrimRate)) return Number.POSITIVE_INFINITY;
    const held = nodes.filter(({ driver }) => driver?.holds(shard) === true);
    return Math.min(...held.map((one) => one.machine.persistedIndex(shard)));
  };
  for (const node of nodes) {
    if (random.chance(0.7)) node.keepLog(shard, () => through(node));
  }
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
  coup: (stage) => coup(stage),
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
  badDisk,
  fullDisk: (stage, victim) =>
    spoilDisk(stage, victim, FULL_DISK_MAX_MS, (faults) => {
      faults.isFull = true;
    }),
  slowDisk: (stage, victim) =>
    spoilDisk(stage, victim, SLOW_DISK_MAX_MS, (faults) => {
      faults.slowness = stage.random.pick([10, 100]);
    }),
  bitFlip,
  rot,
  barren: (stage) => barren(stage, (leader) => spoilCheckpoints(stage, leader)),
  checkpoint: (stage) => checkpoint(stage),
  members: (stage) => {
    const { random } = stage;
    members(stage, random.between(3, CHANGES_MAX), () => random.pick(CHANGE_KINDS));
  },
  ambush,
  exile: (stage) => exile(stage),
  lag,
  rivals,
  transfer: ({ cluster, random }) => {
    transfer(cluster, random);
  },
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
