/**
 * Appends bodies again that alone keep the log before them (internals rule 7): their owners point
 * at the new entries from then on, and the next trim may go on. One after the other: that is also
 * the bound on how much of the disk it takes.
 */
import type { Entry, ShardId } from '../../raft/types.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import type { HeldBody } from '../broker/commands.ts';
import type { ShardHost } from './api.ts';

type CopyingHost = Pick<ShardHost, 'propose' | 'readEntry'>;

/** `onDamage` hears of bodies that cannot be read: they stay where they are, and the log stays. */
export async function copyForward(
  host: CopyingHost,
  shard: ShardId,
  bodies: readonly HeldBody[],
  onDamage: (error: Error, body: HeldBody) => void,
): Promise<void> {
  for (const body of bodies) {
    const found = await read(host, shard, body);
    if (found instanceof Error) onDamage(found, body);
    else if (!(await copy(host, shard, body, found.payload))) return;
  }
}

function read(host: CopyingHost, shard: ShardId, { at }: HeldBody): Promise<Entry | Error> {
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
  { owner, id, at: from }: HeldBody,
  payload: Uint8Array,
): Promise<boolean> {
  const head = encodeCommand({ type: 'copy', owner, id, from });
  return new Promise((resolve) => {
    host.propose(shard, head, payload, 'majorityFsync', ({ status }) => {
      resolve(status === 'applied');
    });
  });
}
