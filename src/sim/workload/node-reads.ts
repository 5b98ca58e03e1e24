/** How production's readers see a simulated node: its entries without the tags of attempts. */
import type { ShardId } from '../../../raft/types.ts';
import type { DataShard } from '../../broker/api.ts';
import type { ShardHost } from '../../shards/api.ts';
import type { EntryTail } from '../../shards/entry-reader.ts';
import type { ReadStore } from '../../shards/queue-reader.ts';
import type { SimNode } from '../node.ts';
import { untagged } from './values.ts';

export function untaggedReads(node: SimNode): { tail: EntryTail; store: ReadStore } {
  const cached: EntryTail['cachedEntries'] = (...request) =>
    node.driver?.cachedEntries(...request)?.map(untagged);
  const read: ReadStore['read'] = (shard, from, to, maxBytes, onEntries) => {
    // Nobody is left to hear of it.
    if (node.isUp) {
      node.disk.read(shard, from, to, maxBytes, (error, entries) =>
        onEntries(error, entries.map(untagged)),
      );
    }
    return () => false;
  };
  return { tail: { cachedEntries: cached }, store: { read, isHeldUp: false } };
}

/** As production's host has it. */
export function entryReader(node: SimNode): ShardHost['readEntry'] {
  const { store, tail } = untaggedReads(node);
  return (shard, index, done) => {
    const cached = tail.cachedEntries(shard, index, index, 1);
    if (cached !== undefined) done(undefined, cached[0]);
    else store.read(shard, index, index, 1, (error, entries) => done(error, entries[0]));
  };
}

/** False: another process runs there, the replica has left, or a snapshot took its place. */
export function isStateOf(node: SimNode, shard: ShardId, data: DataShard): boolean {
  return node.isUp && node.driver!.holds(shard) && node.machine.data(shard) === data;
}
