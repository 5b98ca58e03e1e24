/** Brings the data shards that this node leads to the feature level of the metadata. */
import { EMPTY_BYTES, type ShardId } from '../../raft/types.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import type { ShardHost } from '../shards/api.ts';
import { META_SHARD } from './first-configuration.ts';

type LevelHost = Pick<
  ShardHost,
  'data' | 'isReady' | 'meta' | 'onApplied' | 'onLeadership' | 'propose' | 'shards'
>;

/** Looks at every change of either; proposes only where they differ. */
export function raiseLevels(host: LevelHost): { stop(): void } {
  const rising = new Set<ShardId>();
  const look = (shard: ShardId): void => {
    if (shard === META_SHARD || rising.has(shard) || !host.isReady(shard)) return;
    const level = host.meta().featureLevel();
    if (host.data(shard).featureLevel() >= level) return;
    rising.add(shard);
    const head = encodeCommand({ type: 'raiseLevel', level });
    // Where it fails, the next entry or leader of the shard asks again.
    host.propose(shard, head, EMPTY_BYTES, 'majorityFsync', () => rising.delete(shard));
  };
  const stops = [
    host.onLeadership(look),
    host.onApplied((shard) => {
      if (shard === META_SHARD) for (const each of host.shards()) look(each);
      else look(shard);
    }),
  ];
  return {
    stop() {
      for (const stop of stops) stop();
    },
  };
}
