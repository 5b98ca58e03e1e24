/** What the parts of a driver may ask of it. */
import type { ShardRunner } from './driver-shard.ts';
import type { DriverOptions } from './driver-types.ts';
import type { ShardMessage } from './messages.ts';
import type { Instant } from './state.ts';
import type { LogIndex, NodeId } from './types.ts';

export interface DriverContext {
  readonly options: DriverOptions;
  /** The same for all inputs of one turn. */
  now(): Instant;
  /** Asks for another pass over the shard. */
  markDirty(runner: ShardRunner): void;
  /** A read failed. True: the entry is damaged, others are asked for it; try again later. */
  noticed(runner: ShardRunner, error: Error, at: LogIndex): boolean;
  /** Leaves with the next flush, which comes soon. */
  say(to: NodeId, message: ShardMessage): void;
}
