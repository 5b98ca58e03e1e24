/**
 * Appends batches again that alone keep the log before them (internals rule 7): what needs them
 * points at the new entries from then on, and the next trim may go on. One after the other: that is
 * also the bound on how much of the disk it takes.
 */
import type { Entry, LogIndex, ShardId } from '../../raft/types.ts';
import { encodeCommand, firstIdOf } from '../broker/command-codec.ts';
import type { ApplyResult, Command, HeldBody, StoredAt } from '../broker/commands.ts';
import { bucketOf } from '../broker/late-references.ts';
import type { ShardHost } from './api.ts';
import { keptRuns } from './kept-messages.ts';
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
  const compactedAt = new Map<string, LogIndex>();
  for (const rowCopy of rows) {
    const { index, queueId } = rowCopy.row;
    const bucket = `${queueId}/${bucketOf(rowCopy.row.baseOffset + rowCopy.row.count - 1)}`;
    if (damaged.has(bucket)) continue;
    const found = await read(host, shard, rowCopy.row);
    if (found instanceof Error) {
      damaged.add(bucket);
      onDamage(found, index);
    } else {
      const command = rowCommand(rowCopy, found, compactedAt.get(bucket));
      const outcome = await copy(host, shard, command, found);
      if (outcome === undefined) return;
      if (outcome.isMoved) compactedAt.set(bucket, outcome.index);
    }
  }
}

/** `compactedAt`: the entry that compacted its bucket since the decision. */
export function rowCommand(
  { compaction, lowest, row, until }: RowCopy,
  entry: Entry,
  compactedAt?: LogIndex,
): Command {
  const { queueId, baseOffset, count, storedAtMs, cumulativeBytes } = row;
  const copied = { queueId, baseOffset, count, storedAtMs, cumulativeBytes };
  if (compaction === undefined) {
    return { type: 'copyRow', row: copied, id: firstIdOf(entry), lowest, until };
  }
  const { before, left } = compaction;
  const what = { row: copied, replaced: [], runs: keptRuns(row, entry) };
  const place = { left, before: compactedAt ?? before, lowest, until };
  return { type: 'compactRows', ...what, ...place };
}

function read(host: CopyingHost, shard: ShardId, at: StoredAt): Promise<Entry | Error> {
  return new Promise((resolve) => {
    host.readEntry(shard, at.index, (error, entry) => {
      const isThere = error === undefined && entry?.term === at.term;
      resolve(isThere ? entry : (error ?? new Error(`entry ${at.index} is not there`)));
    });
  });
}

interface Copied {
  readonly index: LogIndex;
  readonly isMoved: boolean;
}

/** undefined: somebody else leads, or is to lead; or there is no room just now. */
function copy(
  host: CopyingHost,
  shard: ShardId,
  command: Command,
  { payload }: Entry,
): Promise<Copied | undefined> {
  return new Promise((resolve) => {
    host.propose(shard, encodeCommand(command), payload, 'majorityFsync', (outcome) => {
      if (outcome.status !== 'applied') return resolve(undefined);
      const result = outcome.result as ApplyResult;
      resolve({ index: outcome.index, isMoved: result.type === 'copied' && result.moved });
    });
  });
}
