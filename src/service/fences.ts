/**
 * Fences of queues that this node has proposed and not applied yet. A write behind one in the log
 * may be refused when it is applied, so no weak acknowledgement of it may leave before. What an
 * earlier leader proposed is applied by the time that this one is ready.
 */
import type { ShardId } from '../../raft/types.ts';
import type { Command, QueueId, Refusal } from '../broker/commands.ts';
import { fenced } from '../broker/queues.ts';
import type { ShardHost } from '../shards/api.ts';
import type { Target } from './methods.ts';

type FenceHost = Pick<ShardHost, 'data' | 'onLeadership'>;

export class Fences {
  readonly #host: FenceHost;
  readonly #proposed = new Map<ShardId, Map<QueueId, number>>();

  constructor(host: FenceHost) {
    this.#host = host;
    host.onLeadership((shard) => this.#proposed.delete(shard));
  }

  /** About to be proposed; returns what to call when it is applied. Other commands: nothing. */
  note(shard: ShardId, command: Command): () => void {
    if (command.type !== 'fenceQueue') return () => undefined;
    const { minQueueEpoch, queueId } = command;
    const queues = this.#proposed.get(shard) ?? new Map<QueueId, number>();
    this.#proposed.set(shard, queues);
    queues.set(queueId, Math.max(minQueueEpoch, queues.get(queueId) ?? 0));
    return () => {
      if (queues.get(queueId) === minQueueEpoch) queues.delete(queueId);
    };
  }

  /** False: unless it is closed meanwhile, the queue takes the write for sure. */
  mayRefuse(target: Target): boolean {
    const { shard, queueId, queueEpoch = 0 } = target;
    const proposed = this.#proposed.get(shard)?.get(queueId) ?? 0;
    return proposed > queueEpoch || this.refusal(target) !== undefined;
  }

  /** undefined = no fence that is applied here refuses it. */
  refusal({ shard, queueId, queueEpoch }: Target): Refusal | undefined {
    const queue = this.#host.data(shard).queue(queueId);
    return queue === undefined ? undefined : fenced(queue, queueEpoch);
  }
}
