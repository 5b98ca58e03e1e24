/**
 * No duplicate (reliability P7; internals rule 13): a request of an idempotent producer takes
 * effect once, however often it is repeated; and no proposal is committed twice.
 */
import type { Entry, ShardId } from '../../../raft/types.ts';
import type { ApplyResult, Command } from '../../broker/commands.ts';
import { expect } from '../failure.ts';
import { taggedOf } from '../workload/values.ts';

export class AppliedOnce {
  readonly #tags = new Set<string>();
  readonly #requests = new Set<string>();

  applied(shard: ShardId, entry: Entry, command: Command | undefined, result: ApplyResult): void {
    const tag = taggedOf(entry)?.tag;
    if (tag !== undefined) {
      expect(!this.#tags.has(tag), 'committed-once', () => `shard ${shard}: ${tag} twice`);
      this.#tags.add(tag);
    }
    if (command?.type !== 'produce' || command.producer === undefined) return;
    if (result.type !== 'produced' || result.duplicate) return;
    const { producerId, producerEpoch, sequence } = command.producer;
    const request = `${command.queueId}/${producerId}/${producerEpoch}/${sequence}`;
    expect(!this.#requests.has(request), 'applied-once', () => `${request} at ${entry.index}`);
    this.#requests.add(request);
  }

  has(tag: string): boolean {
    return this.#tags.has(tag);
  }
}
