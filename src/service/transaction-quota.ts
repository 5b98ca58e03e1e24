/**
 * How many transactions each principal may leave open in a shard. Checked on the shard's leader
 * only: what is under way at that moment may go a little over.
 */
import type { ShardId } from '../../raft/types.ts';
import type { ShardHost } from '../shards/api.ts';
import { CallError } from '../status.ts';
import type { ServiceMeters } from './meters.ts';

export class TransactionQuota {
  readonly #host: ShardHost;
  readonly #admins: ReadonlySet<string>;
  readonly #meters: ServiceMeters;

  constructor(host: ShardHost, admins: ReadonlySet<string>, meters: ServiceMeters) {
    this.#host = host;
    this.#admins = admins;
    this.#meters = meters;
  }

  /** undefined = it may open one more; '' = nobody was asked. */
  refuse(shard: ShardId, principal: string): CallError | undefined {
    if (principal === '' || this.#admins.has(principal)) return undefined;
    const max = this.#host.meta().quotas().of(principal)?.openTransactions;
    if (max === undefined || this.#host.data(shard).openTransactionsOf(principal) < max) {
      return undefined;
    }
    this.#meters.quotaReached('openTransactions');
    const text =
      `the quota of ${JSON.stringify(principal)} is reached in shard ${shard} (open transactions ` +
      `in each shard: ${max}): end some first`;
    return new CallError('QUOTA_FULL', text);
  }
}
