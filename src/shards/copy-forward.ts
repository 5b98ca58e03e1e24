/**
 * Appends batches again that alone keep the log before them (internals rule 7): what needs them
 * points at the new entries from then on, and the next trim may go on. One after the other: that is
 * also the bound on how much of the disk it takes.
 */
import type { Entry, LogIndex, ShardId } from '../../raft/types.ts';
import { encodeCommand, firstIdOf } from '../broker/command-codec.ts';
import type { Command, HeldBody, StoredAt } from '../broker/commands.ts';
import { bucketOf } from '../broker/late-references.ts';
import type { ShardHost } from './api.ts';
import type { RowCopy } from './row-copies.ts';

type CopyingHost = Pick<ShardHost, 'propose' | 'readEntry'>;

/** Hears of what cannot be read: it stays where it is, and the log stays. */
type OnDamage = (error: Error, index: LogIndex) => void;

export async function copyForward(
  host: CopyingHost,
  shard: ShardId,
  bodies: readonly HeldBody[],
  onDamage: OnDamage,
): Promise<void> {
  for (const { owner, id, at: from } of bodies) {
    const found = await read(host, shard, from);
    if (found instanceof Error) onDamage(found, from.index);
    else if (!(await copy(host, shard, { type: 'copy', owner, id, from }, found))) return;
  }
}

/** Those of a bucket name what is left of it then: behind one that stays the others stay, too. */
export async function copyRowsForward(
  host: CopyingHost,
  shard: ShardId,
  rows: readonly RowCopy[],
  onDamage: OnDamage,
): Promise<void> {
  const damaged = new Set<string>();
  for (const rowCopy of rows) {
    const { index, queueId } = rowCopy.row;
    const bucket = `${queueId}/${bucketOf(rowCopy.row.baseOffset + rowCopy.row.count - 1)}`;
    if (damaged.has(bucket)) continue;
    const found = await read(host, shard, rowCopy.row);
    if (found instanceof Error) {
      damaged.add(bucket);
      onDamage(found, index);
    } else if (!(await copy(host, shard, rowCommand(rowCopy, found), found))) return;
  }
}

export function rowCommand({ row, lowest, until }: RowCopy, entry: Entry): Command {
  const { queueId, baseOffset, count, storedAtMs, cumulativeBytes } = row;
  const copied = { queueId, baseOffset, count, storedAtMs, cumulativeBytes };
  return { type: 'copyRow', row: copied, id: firstIdOf(entry), lowest, until };
}

function read(host: CopyingHost, shard: ShardId, at: StoredAt): Promise<Entry | Error> {
  return new Promise((resolve) => {
    host.readEntry(shard, at.index, (error, entry) => {
      const isThere = error === undefined && entry?.term === at.term;
      resolve(isThere ? entry : (error ?? new Error(`entry ${at.index} is not there`)));
    });
  });
}

/** False: somebody else leads, or is to lead; or there is no room just now. */
function copy(
  host: CopyingHost,
  shard: ShardId,
  command: Command,
  { payload }: Entry,
): Promise<boolean> {
  return new Promise((resolve) => {
    host.propose(shard, encodeCommand(command), payload, 'majorityFsync', ({ status }) => {
      resolve(status === 'applied');
    });
  });
}
