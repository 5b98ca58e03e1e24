/**
 * Tells groups that their topics have more queues now: the leader of a group's shard compares what
 * the group knows with the metadata, when either changes and when it comes to lead.
 */
import { EMPTY_BYTES, type ShardId } from '../../raft/types.ts';
import type { MembershipView } from '../broker/api.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import type { ShardHost } from '../shards/api.ts';

type GrowthHost = Pick<
  ShardHost,
  'data' | 'isReady' | 'meta' | 'onApplied' | 'onLeadership' | 'propose' | 'shards'
>;

const META_SHARD = 0;

export class GroupGrowth {
  readonly #host: GrowthHost;
  readonly #unsubscribe: readonly (() => void)[];
  /** What a shard's groups looked like when they were last compared. */
  readonly #seen = new Map<ShardId, number>();
  /** Groups that are being told. */
  readonly #busy = new Set<string>();

  constructor(host: GrowthHost) {
    this.#host = host;
    this.#unsubscribe = [
      host.onLeadership((shard) => this.#compare(shard)),
      host.onApplied((shard) => this.#applied(shard)),
    ];
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  #applied(shard: ShardId): void {
    if (shard === META_SHARD) {
      for (const one of this.#host.shards()) this.#compare(one);
      return;
    }
    if (!this.#host.isReady(shard)) return;
    const changes = this.#host.data(shard).membershipChanges();
    if (this.#seen.get(shard) === changes) return;
    this.#seen.set(shard, changes);
    this.#compare(shard);
  }

  #compare(shard: ShardId): void {
    if (shard === META_SHARD || !this.#host.isReady(shard)) return;
    for (const view of this.#host.data(shard).memberships()) this.#compareGroup(shard, view);
  }

  #compareGroup(shard: ShardId, { group, topics }: MembershipView): void {
    const grown = [...topics.values()].flatMap(({ topicId, queues }) => {
      const queueCount = this.#host.meta().topicById(topicId)?.queues.length ?? 0;
      return queueCount > queues.length ? [{ topicId, queueCount }] : [];
    });
    if (grown.length === 0 || this.#busy.has(group)) return;
    this.#busy.add(group);
    const head = encodeCommand({ type: 'changeGroup', group, topics: grown });
    this.#host.propose(shard, head, EMPTY_BYTES, 'majorityFsync', ({ status }) => {
      this.#busy.delete(group);
      // More may have come meanwhile; where it failed, the next change of anything tells again.
      if (status === 'applied') this.#compare(shard);
    });
  }
}
