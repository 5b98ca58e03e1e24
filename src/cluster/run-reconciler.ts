/**
 * Gives the topic reconciler its ports on a running node: the host's events, the service's calls.
 */
import { EMPTY_BYTES, type ShardId } from '../../raft/types.ts';
import type { Command } from '../broker/commands.ts';
import { startSystemTimer } from '../clock.ts';
import type { ShardHost } from '../shards/api.ts';
import { META_SHARD } from './first-configuration.ts';
import { encodeMetaCommand } from './meta-codec.ts';
import type { MetaState } from './meta-state.ts';
import { createTopicReconciler } from './topic-reconciler.ts';

export interface ShardCaller {
  /** Proposes the command to the shard, wherever it is led. */
  callShard(
    shard: ShardId,
    command: Command,
    done: (error: { readonly retryable: boolean } | undefined, result: unknown) => void,
  ): void;
}

export function runTopicReconciler(
  host: ShardHost,
  meta: MetaState,
  caller: ShardCaller,
): { stop(): void } {
  const reconciler = createTopicReconciler({
    pendingTopics: () => meta.pendingTopics(),
    dataShards: host.shards().filter((shard) => shard !== META_SHARD),
    callShard(shard, command, done) {
      caller.callShard(shard, command, (error) => done(error === undefined, error?.retryable));
    },
    proposeMeta(command, done) {
      const head = encodeMetaCommand(command);
      host.propose(META_SHARD, head, EMPTY_BYTES, 'majorityFsync', ({ status }) => {
        done(status === 'applied');
      });
    },
    startTimer: startSystemTimer,
  });
  const stopLeadership = host.onLeadership((shard) => {
    if (shard !== META_SHARD) reconciler.shardAvailable(shard);
    else if (host.isReady(META_SHARD)) reconciler.becameReady();
    else reconciler.deposed();
  });
  const stopApplied = host.onApplied((shard) => {
    if (shard === META_SHARD) reconciler.metaApplied();
  });
  return {
    stop() {
      stopLeadership();
      stopApplied();
      reconciler.deposed();
    },
  };
}
