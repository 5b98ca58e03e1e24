/**
 * Which requests of idempotent producers the state machine will take for sure. Below
 * MAJORITY_FSYNC a request is acknowledged before it is applied; one that a later sequence of its
 * producer has overtaken on the way would be refused then (broker/dedup.ts): acknowledged, and
 * never stored. So a weak ack leaves early only where nothing that stands before the request in the
 * log can make it too old: since one of the producer's requests of this reign was applied as new,
 * all have come in order.
 */
import type { ShardId } from '../../raft/types.ts';
import type { QueueId } from '../broker/commands.ts';

/** Per shard. Whoever is forgotten waits once more for a request to be applied. */
export const TRACKED_PRODUCERS_MAX = 10_000;

export interface SequencedRequest {
  readonly queueId: QueueId;
  readonly producerId: string;
  readonly producerEpoch: number;
  readonly sequence: number;
  readonly count: number;
}

/** What one producer has proposed to one queue here, in this reign and epoch. */
export class ProducerTrack {
  readonly epoch: number;
  /** Behind everything that was proposed: the state machine's next sequence, once it is known. */
  #next = 0;
  #isKnown = false;

  constructor(epoch: number) {
    this.epoch = epoch;
  }

  /** In the order of the log. True: whatever stands before it, it will not be too old. */
  proposes({ sequence, count }: SequencedRequest): boolean {
    const follows = this.#isKnown && sequence >= this.#next;
    this.#next = Math.max(this.#next, sequence + count);
    return follows;
  }

  /** A request that was proposed through this track was applied as new. */
  applied(): void {
    this.#isKnown = true;
  }
}

export class ProducerOrder {
  readonly #shards = new Map<ShardId, Map<string, ProducerTrack>>();

  /** undefined: a producer that has not asked for a weak ack yet. */
  track(shard: ShardId, request: SequencedRequest, isWeak: boolean): ProducerTrack | undefined {
    const producers = this.#shards.get(shard);
    if (producers === undefined && !isWeak) return undefined;
    const key = `${request.queueId}/${request.producerId}`;
    const known = producers?.get(key);
    if (known?.epoch === request.producerEpoch) return known;
    if (known === undefined && !isWeak) return undefined;
    return this.#add(shard, key, request.producerEpoch);
  }

  /** Another leader may take requests meanwhile. */
  forget(shard: ShardId): void {
    this.#shards.delete(shard);
  }

  #add(shard: ShardId, key: string, epoch: number): ProducerTrack {
    const producers = this.#shards.get(shard) ?? new Map<string, ProducerTrack>();
    this.#shards.set(shard, producers);
    producers.delete(key);
    const [oldest] = producers.keys();
    if (producers.size >= TRACKED_PRODUCERS_MAX && oldest !== undefined) producers.delete(oldest);
    const track = new ProducerTrack(epoch);
    producers.set(key, track);
    return track;
  }
}
