/** Bounds of the shards' state: short histories must reach what production meets in an hour. */
import { DATA_SHARD_LIMITS, type DataShardLimits } from '../broker/limits.ts';

export const SIM_LIMITS: DataShardLimits = Object.freeze({
  ...DATA_SHARD_LIMITS,
  prepareTimeoutMs: 3000,
  maxDeliveryAttempts: 3,
  maxDeadLetters: 1,
  offsetRecordSpacingMs: 200,
});
