/** What each claim of a shard demands of the others, now that all of them were read. */
import type { LogIndex, ShardId } from '../../raft/types.ts';
import { globalText } from '../broker/transaction-parts.ts';
import { isOpen } from '../broker/transactions.ts';
import type { TopicQueue } from '../cluster/api.ts';
import { META_SHARD } from '../shards/shard-machine.ts';
import type { Claim, ShardClaims } from './claims.ts';
import type { Demand } from './closed-cut.ts';

type Needed = Pick<Demand, 'on' | 'index'>;
type ClaimOf<Type extends Claim['type']> = Extract<Claim, { type: Type }>;

const BEHIND = Number.POSITIVE_INFINITY;

/** `all`: of every shard of the cluster, read up to its ceiling. */
export function demandsOf(all: ReadonlyMap<ShardId, ShardClaims>): Demand[] {
  const shards = new Demands(all);
  const demands: Demand[] = [];
  for (const [shard, { claims }] of all) {
    for (const { at, claim } of claims) {
      for (const needed of shards.of(claim)) {
        if (needed.index > 0 && needed.on !== shard) demands.push({ shard, at, ...needed });
      }
    }
  }
  return demands;
}

class Demands {
  readonly #all: ReadonlyMap<ShardId, ShardClaims>;
  /** Transactions that a shard holds something of. */
  readonly #held = new Map<ShardId, ReadonlySet<string>>();

  constructor(all: ReadonlyMap<ShardId, ShardClaims>) {
    this.#all = all;
  }

  of(claim: Claim): Needed[] {
    switch (claim.type) {
      case 'entry':
        return [{ on: claim.shard, index: claim.index }];
      case 'outcome':
        return [this.#decision(claim)];
      case 'applied':
        return claim.shards.map((on) => ({ on, index: this.#application(claim, on) }));
      case 'read':
        return this.#read(claim);
      case 'opened':
        return claim.queues.map((queue) => ({ on: queue.shard, index: this.#opening(queue) }));
      case 'closed':
        return claim.queues.map((queue) => ({ on: queue.shard, index: this.#closing(queue) }));
      case 'placed':
        return [{ on: META_SHARD, index: this.#meta.placedAt.get(claim.queueId) ?? BEHIND }];
      case 'deleted':
        return [{ on: META_SHARD, index: this.#deletion(claim) }];
    }
  }

  get #meta(): ShardClaims {
    return this.#all.get(META_SHARD)!;
  }

  /** What the coordinator does not know (any more) has no part that counts. */
  #decision({ transaction }: ClaimOf<'outcome'>): Needed {
    const on = transaction.shard;
    const { decidedAt, replay } = this.#all.get(on)!;
    const known = decidedAt.get(globalText(transaction));
    if (known !== undefined) return { on, index: known };
    const found = replay.data!.coordinated(transaction);
    const isUndecided = found !== undefined && isOpen(found);
    return { on, index: isUndecided || transaction.index > replay.last.index ? BEHIND : 0 };
  }

  #application({ transaction }: ClaimOf<'applied'>, on: ShardId): LogIndex {
    const text = globalText(transaction);
    const known = this.#all.get(on)!.resolvedAt.get(text);
    return known ?? (this.#heldBy(on).has(text) ? BEHIND : 0);
  }

  #heldBy(shard: ShardId): ReadonlySet<string> {
    let held = this.#held.get(shard);
    if (held === undefined) {
      const { data } = this.#all.get(shard)!.replay;
      held = new Set([...data!.heldSince(Number.MAX_SAFE_INTEGER)].map(globalText));
      this.#held.set(shard, held);
    }
    return held;
  }

  #read({ topicId, offsets }: ClaimOf<'read'>): Needed[] {
    const queues = this.#meta.topics.get(topicId)?.queues ?? [];
    return offsets.flatMap(({ queue, offset }) => {
      const at = queues[queue];
      if (at === undefined) return [];
      return [{ on: at.shard, index: this.#all.get(at.shard)!.reached(at.queueId, offset) }];
    });
  }

  #opening({ queueId, shard }: TopicQueue): LogIndex {
    return this.#all.get(shard)!.openedAt.get(queueId) ?? BEHIND;
  }

  #closing({ queueId, shard }: TopicQueue): LogIndex {
    const { closedAt, replay } = this.#all.get(shard)!;
    const known = closedAt.get(queueId);
    return known ?? (replay.data!.queue(queueId)?.open === true ? BEHIND : 0);
  }

  /** A topic that the metadata does not know was gone before its log's start. */
  #deletion({ queueId, topicId }: ClaimOf<'deleted'>): LogIndex {
    const { topicOfQueue, topics } = this.#meta;
    const id = topicId ?? topicOfQueue.get(queueId!);
    const topic = id === undefined ? undefined : topics.get(id);
    return topic === undefined ? 0 : (topic.deletedAt ?? BEHIND);
  }
}
