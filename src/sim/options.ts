/** What one run may meet: every seed draws its own mixture (swarm testing). */
import { DEFAULT_RAFT_CONFIG, type RaftConfig } from '../../raft/config.ts';
import type { CommitLogLimits } from '../../storage/commit-log.ts';
import type { Random } from './random.ts';
import { ALWAYS, STRIKE_KINDS, type StrikeKind } from './strikes.ts';

export interface SimOptions {
  /** Virtual time with faults, then at most this long for everybody to agree again. */
  readonly faultMs: number;
  readonly healMs: number;
  /** Fixed instead of drawn, for tests that need a certain shape. */
  readonly nodes?: number;
  readonly shards?: number;
  readonly withoutFaults?: boolean;
  readonly metadata?: boolean;
  /** Kinds of faults and of operations that are taken out of what the seed draws (narrow.ts). */
  readonly without?: readonly string[];
  /** Keeps that many of the last lines of the trace. */
  readonly traceLines?: number;
}

export const DEFAULT_SIM_OPTIONS: SimOptions = { faultMs: 10_000, healMs: 40_000 };

export interface Swarm {
  readonly nodes: number;
  readonly shards: number;
  /** A metadata shard places the replicas of the others. */
  readonly metadata: boolean;
  /** Of each shard, at birth. */
  readonly replicas: number;
  readonly raft: RaftConfig;
  readonly log: Partial<CommitLogLimits>;
  /** Over it nothing more is applied for now. */
  readonly maxPendingStateBytes: number;
  /** Index rows of a queue that memory has; LevelDB is asked for the others. */
  readonly maxRowsPerQueue: number;
  readonly lossRate: number;
  readonly duplicateRate: number;
  readonly replayRate: number;
  readonly delayMaxMs: number;
  /** Some packets are late by much more: they meet another term. */
  readonly straggleRate: number;
  /** Packets are the bytes of production's frames. */
  readonly encodesFrames: boolean;
  readonly garbleRate: number;
  readonly writeMaxMs: number;
  readonly syncMaxMs: number;
  readonly proposalsPerSecond: number;
  readonly readsPerSecond: number;
  readonly meanFaultGapMs: number;
  /** What the nemesis does in this history. */
  readonly strikes: readonly StrikeKind[];
  /** After the faults a minority is lost for ever; the others must do without it. */
  readonly losesMinority: boolean;
  /** Each machine's monotonic clock runs at one of these. */
  readonly clockRates: readonly number[];
  readonly retention: boolean;
  /** How often a log is cut although others still need it: they get a snapshot. */
  readonly hastyTrimRate: number;
}

function drawRaftConfig(random: Random): RaftConfig {
  const maxAppendBytes = random.pick([200, 1000, 1_048_576]);
  const maxInflightAppends = random.pick([1, 3, 256]);
  const electionTimeoutMs = random.pick([450, 1000]);
  // A narrow window drains slowly: a long backlog would only test the patience of the heal phase.
  const isNarrow = maxAppendBytes < 1_048_576 || maxInflightAppends === 1;
  return {
    ...DEFAULT_RAFT_CONFIG,
    maxAppendBytes,
    maxInflightAppends,
    maxInflightBytes: maxAppendBytes * random.pick([1, 4]),
    // One read at a time: shards wait for each other.
    maxCatchUpBytes: 1,
    maxTailBytes: random.pick([1, 2000, 4_194_304]),
    maxApplyEntries: random.pick([1, 7, 4096]),
    maxApplyLoadBytes: random.pick([100, 4_194_304]),
    maxUncommittedEntries: random.pick([5, isNarrow ? 20 : 65_536, isNarrow ? 20 : 65_536]),
    maxCommitLag: random.pick([1, 1000]),
    electionTimeoutMs,
    // As seldom as validation lets them be: signs of life are most of what an idle cluster does.
    heartbeatIntervalMs: Math.floor(electionTimeoutMs / 3),
  };
}

const KIB = 1024;

/** Small segments: they change often, go often, and are cheap to make. */
function drawLogLimits(random: Random, syncMaxMs: number): Partial<CommitLogLimits> {
  // Many small flushes on a slow disk would only test the patience of the heal phase.
  const smallFlushKib = syncMaxMs > 10 ? 64 : 1;
  return {
    segmentBytes: KIB * random.pick([16, 64, 512]),
    preallocateBytes: KIB * random.pick([0, 4]),
    maxFlushBytes: KIB * random.pick([smallFlushKib, 8192]),
    singleStepSync: random.chance(0.7),
  };
}

/**
 * What a history may be about: these come again and again in it, beside whatever else is drawn, for
 * some points are met only where one thing follows close upon the other.
 */
const THEMES: readonly (readonly StrikeKind[])[] = [
  ['members', 'ambush', 'ambush', 'transfer'],
  ['exile', 'exile', 'checkpoint', 'coup'],
  ['lag', 'rivals', 'coup', 'kill'],
  ['badDisk', 'badDisk', 'power', 'powerAll'],
  ['bitFlip', 'bitFlip', 'checkpoint', 'kill', 'members'],
  ['rot', 'rot', 'rot', 'barren', 'checkpoint', 'power'],
];
const KIND_SHARE = 0.4;
const THEME_SHARE = 0.5;
/** Metadata that nobody changes is no test of it. */
const PLACING: readonly StrikeKind[] = ['members', 'members', 'members'];
/** As often as some ten other kinds together. */
const THEME_WEIGHT = 3;

/** Each kind is there or not: a fault that is always there may hide what another one shows. */
function drawStrikes(
  random: Random,
  theme: readonly StrikeKind[],
  needed: readonly StrikeKind[],
): readonly StrikeKind[] {
  const share = theme.length === 0 ? KIND_SHARE : KIND_SHARE / 2;
  const drawn = STRIKE_KINDS.filter(() => random.chance(share));
  const again = Array.from({ length: THEME_WEIGHT }, () => theme).flat();
  return [...drawn, ...ALWAYS, ...again, ...needed];
}

/** Most histories are light, so that there may be many: what takes a backlog, the others show. */
const PROPOSALS_PER_SECOND: readonly number[] = [2, 2, 4, 4, 8, 8, 15, 60];
const READS_PER_SECOND: readonly number[] = [0, 0, 2, 2, 5, 30];

export function drawSwarm(random: Random, options: SimOptions): Swarm {
  const calm = options.withoutFaults === true;
  const syncMaxMs = random.pick([1, 10, 200]);
  const theme = random.chance(THEME_SHARE) ? random.pick(THEMES) : [];
  const metadata = random.chance(0.3);
  const gaps = theme.length === 0 ? [300, 1000, 3000] : [300, 1000];
  return {
    nodes: options.nodes ?? random.pick([1, 2, 3, 3, 3, 4, 5, 5, 6, 7]),
    shards: options.shards ?? random.pick([1, 1, 2, 3]),
    metadata: options.metadata ?? (metadata && !calm),
    raft: drawRaftConfig(random),
    log: drawLogLimits(random, syncMaxMs),
    maxPendingStateBytes: KIB * random.pick([4, 16_384]),
    lossRate: calm ? 0 : random.pick([0, 0, 0.01, 0.1, 0.3]),
    duplicateRate: calm ? 0 : random.pick([0, 0.05, 0.3]),
    replayRate: calm ? 0 : random.pick([0, 0, 0.02, 0.5]),
    delayMaxMs: random.pick([1, 5, 50]),
    straggleRate: calm ? 0 : random.pick([0, 0.02]),
    encodesFrames: random.chance(0.3),
    garbleRate: calm ? 0 : random.pick([0, 0.002, 0.02]),
    writeMaxMs: random.pick([0.1, 2]),
    replicas: random.pick([3, 3, 5, 7]),
    syncMaxMs,
    proposalsPerSecond: random.pick(PROPOSALS_PER_SECOND),
    readsPerSecond: random.pick(READS_PER_SECOND),
    meanFaultGapMs: calm ? Number.POSITIVE_INFINITY : random.pick(gaps),
    strikes: drawStrikes(random, theme, metadata ? PLACING : []),
    losesMinority: !calm && random.chance(0.5),
    clockRates: calm ? [1] : random.pick([[1], [1, 0.99, 1.01], [1, 0.9, 1.1]]),
    hastyTrimRate: random.pick([0, 0.5, 1]),
    retention: random.chance(0.7),
    maxRowsPerQueue: random.pick([2, 1024]),
  };
}
