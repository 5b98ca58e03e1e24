import { RaftError, RaftErrorCode } from './errors.ts';

/** Per node; may differ between nodes (timeouts should not). */
export interface RaftConfig {
  /**
   * A follower that heard nothing for a random time in [1x, 2x) campaigns; a leader that reached no
   * quorum for 1x steps down. Too low: elections under load. Too high: long gaps after a silent
   * cut.
   */
  readonly electionTimeoutMs: number;
  /** Leaders of all shards of a node speak at multiples of this, so that frames are shared. */
  readonly heartbeatIntervalMs: number;
  /**
   * A quiet shard's leader asks its followers so often whether all is as it was. Only a safety net:
   * what wakes a quiet shard are events. A follower gives up after twice this.
   */
  readonly quietRefreshMs: number;
  /** Early campaign after a connection reset: rank * this ... */
  readonly earlyRankDelayMs: number;
  /** ... plus a random part below this. Larger ranks must not overtake smaller ones. */
  readonly earlyJitterMs: number;
  /** A pre-vote refused for stickiness is repeated after this ... */
  readonly stickyRetryMs: number;
  /** ... and at most so often; then the normal timeout rules. */
  readonly stickyRetriesMax: number;
  /** At boot the preferred replica of a shard campaigns after this ... */
  readonly bootDelayMs: number;
  /** ... plus a random part below this. */
  readonly bootJitterMs: number;
  /** In-flight appends per follower. */
  readonly maxInflightAppends: number;
  /** In-flight bytes per follower; one message may exceed it. */
  readonly maxInflightBytes: number;
  /**
   * Bytes read from the store for the replicas of one node and not yet acknowledged, over all
   * shards: the pace at which a node that was away is served. One read may exceed it.
   */
  readonly maxCatchUpBytes: number;
  /** Bytes of entries per append; one larger entry still travels. */
  readonly maxAppendBytes: number;
  /** Recent entries kept in memory per shard after they are durable and applied. */
  readonly maxTailBytes: number;
  /** Own-term bytes that are not committed yet, per shard: over it proposals are refused. */
  readonly maxUncommittedBytes: number;
  readonly maxUncommittedEntries: number;
  /** Reads waiting for their round or for apply, per shard. */
  readonly maxPendingReads: number;
  /** Entries applied per shard in one flush, so that one shard cannot hold the loop for long. */
  readonly maxApplyEntries: number;
  /** Bytes per read from the store when applying after a restart. */
  readonly maxApplyLoadBytes: number;
  /** Of a snapshot, per message ... */
  readonly snapshotChunkBytes: number;
  /** ... so many of which may be on their way to one replica ... */
  readonly maxInflightSnapshotChunks: number;
  /** ... and to so many replicas at a time, over all shards of this node. */
  readonly maxOutgoingSnapshots: number;
  /** A shard's facts are written again beside entries when the stored commit lags by this much. */
  readonly maxCommitLag: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

export const DEFAULT_RAFT_CONFIG: RaftConfig = Object.freeze({
  electionTimeoutMs: 1000,
  heartbeatIntervalMs: 150,
  quietRefreshMs: 30_000,
  earlyRankDelayMs: 30,
  earlyJitterMs: 15,
  stickyRetryMs: 50,
  stickyRetriesMax: 3,
  bootDelayMs: 50,
  bootJitterMs: 20,
  maxInflightAppends: 256,
  maxInflightBytes: 8 * MIB,
  maxCatchUpBytes: MIB,
  maxAppendBytes: MIB,
  maxTailBytes: 4 * MIB,
  maxUncommittedBytes: 64 * MIB,
  maxUncommittedEntries: 65_536,
  maxPendingReads: 65_536,
  maxApplyEntries: 4096,
  maxApplyLoadBytes: 4 * MIB,
  snapshotChunkBytes: 256 * KIB,
  maxInflightSnapshotChunks: 4,
  maxOutgoingSnapshots: 2,
  maxCommitLag: 1000,
});

function need(condition: boolean, message: string): void {
  if (!condition) throw new RaftError(RaftErrorCode.invalidConfig, message);
}

const MAY_BE_ZERO: ReadonlySet<string> = new Set([
  'earlyRankDelayMs',
  'earlyJitterMs',
  'stickyRetriesMax',
  'bootDelayMs',
  'bootJitterMs',
]);

/** Throws when a value or the relation of two values cannot work. */
export function validateRaftConfig(config: RaftConfig): RaftConfig {
  for (const [name, value] of Object.entries(config)) {
    need(Number.isSafeInteger(value) && value >= 0, `${name} must be a non-negative integer`);
    need(value > 0 || MAY_BE_ZERO.has(name), `${name} must not be 0`);
  }
  need(
    config.electionTimeoutMs >= 3 * config.heartbeatIntervalMs,
    'electionTimeoutMs must be at least 3 * heartbeatIntervalMs, or one lost heartbeat elects',
  );
  need(
    config.earlyJitterMs <= config.earlyRankDelayMs,
    'earlyJitterMs must not exceed earlyRankDelayMs, or ranks overtake each other',
  );
  need(
    config.maxAppendBytes <= config.maxInflightBytes,
    'maxAppendBytes must not exceed maxInflightBytes',
  );
  need(
    config.maxAppendBytes <= config.maxUncommittedBytes,
    'maxAppendBytes must not exceed maxUncommittedBytes',
  );
  return config;
}
