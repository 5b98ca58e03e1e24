/** The messages of a half message or part that no queue shows yet, from wherever they lie now. */
import type { ShardId } from '../../raft/types.ts';
import type { StoredAt } from '../broker/commands.ts';
import type { ShardHost } from '../shards/api.ts';

const NO_BYTES = new Uint8Array(0);

/** `id`: the entry that first held them. Without them (damage, gone) it answers no bytes. */
export function readHiddenBody(
  host: Pick<ShardHost, 'data' | 'readEntry'>,
  shard: ShardId,
  id: StoredAt,
  done: (messages: Uint8Array) => void,
): void {
  const at = host.data(shard).placeOf(id);
  host.readEntry(shard, at.index, (error, entry) => {
    const isThere = error === undefined && entry !== undefined && entry.term === at.term;
    done(isThere ? entry.payload : NO_BYTES);
  });
}
