/** Quotas as every node sees them: how much a principal may ask for. */

/** Counted by each node for itself, in what reaches it from clients. */
export const QUOTA_RATES = [
  'producedBytesPerSecond',
  'fetchedBytesPerSecond',
  'requestsPerSecond',
] as const;
export type QuotaRate = (typeof QUOTA_RATES)[number];

/** Of the whole cluster: topics that it created. In each shard: its transactions without an end. */
export const QUOTA_COUNTS = ['topics', 'openTransactions'] as const;
export type QuotaCount = (typeof QUOTA_COUNTS)[number];

export type QuotaName = QuotaRate | QuotaCount;
export const QUOTA_NAMES: readonly QuotaName[] = [...QUOTA_RATES, ...QUOTA_COUNTS];

/** What is left out has no bound. */
export type QuotaLimits = { readonly [Name in QuotaName]?: number };

export interface Quota {
  /** `EVERYBODY`: each of those who have no quota of their own. */
  readonly principal: string;
  readonly limits: QuotaLimits;
}

export interface QuotaView {
  /** Raised by every change; of this replica's life alone. */
  readonly version: number;
  /** Its own, else that of everybody. */
  of(principal: string): QuotaLimits | undefined;
  /** After the one of that principal ('' = from the first), ascending. */
  after(principal: string, limit: number): readonly Quota[];
}
