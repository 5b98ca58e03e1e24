/**
 * What a node does for its log's sake: a checkpoint of the shard now and then, and a start of the
 * log that moves on to a checkpoint which was read back (internals rules 4 and 5). When to do it is
 * the nemesis's business here, by the clock it is LogKeeper's.
 */
import type { RaftDriver } from '../../raft/driver.ts';
import type { LogIndex, ShardId } from '../../raft/types.ts';
import {
  firstIntact,
  listCheckpoints,
  pruneCheckpoints,
  takeCheckpoint,
} from '../../storage/checkpoints.ts';
import type { Files } from '../../storage/files.ts';
import type { LevelState } from '../../storage/level-state.ts';

export const CHECKPOINT_DIRECTORY = 'disk/checkpoints';

export interface KeeperParts {
  readonly files: Files;
  readonly state: LevelState;
  readonly driver: RaftDriver;
  isAlive(): boolean;
  isSending(shard: ShardId): boolean;
  durableLogStart(shard: ShardId): LogIndex;
  /** Asked when a checkpoint is there: the log up to here is needed by nobody. 0 = keep all. */
  through(): LogIndex;
}

const breathe = (): Promise<void> => Promise.resolve();

export async function keepLog(parts: KeeperParts, shard: ShardId): Promise<void> {
  const { files, state, driver } = parts;
  const directory = CHECKPOINT_DIRECTORY;
  const taken = await takeCheckpoint({
    source: state,
    directory,
    shard,
    membership: ({ index }) => driver.membershipAt(shard, index),
    files,
    breathe,
  });
  if (taken === undefined || !parts.isAlive()) return;
  const listed = await listCheckpoints(directory, files);
  if (!parts.isAlive() || !driver.holds(shard)) return;
  const through = parts.through();
  const usable = listed.filter((one) => {
    return one.shard === shard && one.index <= through && one.index > driver.logStart(shard).index;
  });
  const { checkpoint } = await firstIntact(usable.reverse(), files);
  if (!parts.isAlive() || !driver.holds(shard) || parts.isSending(shard)) return;
  const { index, term } = checkpoint?.applied ?? { index: 0, term: 0 };
  // The replica may have made room for a new one meanwhile, which has nothing yet; or it is a
  // checkpoint that another node sent, and what was applied of it is not on this disk yet.
  const { applied, durable } = driver.status(shard);
  const isHere = index <= Math.min(applied, durable);
  if (isHere && index > driver.logStart(shard).index) driver.setLogStart(shard, { index, term });
  const start = parts.durableLogStart(shard);
  if (start === driver.logStart(shard).index)
    await pruneCheckpoints(directory, shard, start, files);
}
