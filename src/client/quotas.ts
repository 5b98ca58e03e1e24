import type { Calls } from './calls.ts';
import { list, optionalInt } from './convert.ts';
import type { Proto, WireObject } from './proto.ts';
import { ServiceCalls } from './service-calls.ts';
import type { CallOptions } from './types.ts';

/** How much a principal may ask for; what is left out has no bound. */
export interface Quota {
  /** `*`: each of those who have no quota of their own. */
  readonly principal: string;
  /** Of requests that produce or prepare, on each node. */
  readonly producedBytesPerSecond?: number | undefined;
  /** Of answers that bring messages, and of what subscriptions are sent, on each node. */
  readonly fetchedBytesPerSecond?: number | undefined;
  /** Calls, opened streams, and what is produced over streams, on each node. */
  readonly requestsPerSecond?: number | undefined;
  /** That it created, and that are there. */
  readonly topics?: number | undefined;
  /** Without an outcome, in each shard. */
  readonly openTransactions?: number | undefined;
}

const FIELDS = {
  producedBytesPerSecond: 'produced_bytes_per_second',
  fetchedBytesPerSecond: 'fetched_bytes_per_second',
  requestsPerSecond: 'requests_per_second',
  topics: 'topics',
  openTransactions: 'open_transactions',
} as const satisfies Record<Exclude<keyof Quota, 'principal'>, string>;

/** How much principals may ask for: for those who manage the cluster. */
export class Quotas {
  readonly #service: ServiceCalls;

  constructor(calls: Calls, proto: Proto) {
    this.#service = new ServiceCalls(calls, proto, 'Admin');
  }

  /** In the place of the one that the principal had. */
  async set(quota: Quota, options?: CallOptions): Promise<void> {
    await this.#service.call('SetQuota', { quota: quotaOut(quota) }, 'idempotent', options);
  }

  /** The quota of `*` holds for it from now on, if there is one. */
  async remove(principal: string, options?: CallOptions): Promise<void> {
    await this.#service.call('RemoveQuota', { principal }, 'idempotent', options);
  }

  async list(options?: CallOptions): Promise<Quota[]> {
    const quotas: Quota[] = [];
    for await (const page of this.#service.pages('ListQuotas', {}, options)) {
      quotas.push(...list(page.quotas).map(quotaIn));
    }
    return quotas;
  }
}

type LimitName = keyof typeof FIELDS;
const NAMES = Object.keys(FIELDS) as LimitName[];

function quotaOut(quota: Quota): WireObject {
  const given = NAMES.filter((name) => quota[name] !== undefined);
  const limits = given.map((name) => [FIELDS[name], String(quota[name])]);
  return { principal: quota.principal, ...Object.fromEntries(limits) };
}

function quotaIn(fields: WireObject): Quota {
  const found = NAMES.map((name) => [name, optionalInt(fields, FIELDS[name])]);
  const limits = Object.fromEntries(found.filter(([, value]) => value !== undefined));
  return { principal: String(fields.principal), ...limits };
}
