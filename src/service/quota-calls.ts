/** Quotas: proposals to the metadata shard, in force once applied. */
import { QUOTAS_LEVEL } from '../broker/feature-level.ts';
import { EVERYBODY } from '../cluster/access-api.ts';
import {
  QUOTA_NAMES,
  QUOTA_RATES,
  type Quota,
  type QuotaLimits,
  type QuotaName,
} from '../cluster/quota-api.ts';
import { checkedName, checkedNumber, int64, nameBeforePage, pageTokenAfter } from '../convert.ts';
import { CallError } from '../status.ts';
import type { Call } from './call.ts';
import { catchUpMeta, changeMeta, type MetaChangeParts } from './meta-changes.ts';

/** As in admin.proto. */
const FIELDS: Readonly<Record<QuotaName, string>> = {
  producedBytesPerSecond: 'produced_bytes_per_second',
  fetchedBytesPerSecond: 'fetched_bytes_per_second',
  requestsPerSecond: 'requests_per_second',
  topics: 'topics',
  openTransactions: 'open_transactions',
};

interface QuotaFields extends Readonly<Record<string, string | undefined>> {
  readonly principal: string;
}
export interface SetQuotaRequest {
  readonly quota: QuotaFields | null;
}
export interface RemoveQuotaRequest {
  readonly principal: string;
}
export interface ListQuotasRequest {
  readonly page_size: number;
  readonly page_token: string;
}

export class QuotaCalls {
  readonly #parts: MetaChangeParts;

  constructor(parts: MetaChangeParts) {
    this.#parts = parts;
  }

  async set(call: Call, { quota }: SetQuotaRequest): Promise<object> {
    if (quota === null) throw new CallError('INVALID_REQUEST', 'quota is missing');
    const principal = checkedPrincipal(quota.principal);
    const limits = checkedLimits(quota);
    const command = { type: 'setQuota', quota: { principal, limits } } as const;
    await changeMeta(this.#parts, call, command, QUOTAS_LEVEL);
    return {};
  }

  async remove(call: Call, request: RemoveQuotaRequest): Promise<object> {
    const principal = checkedPrincipal(request.principal);
    await changeMeta(this.#parts, call, { type: 'removeQuota', principal }, QUOTAS_LEVEL);
    return {};
  }

  async list(call: Call, request: ListQuotasRequest): Promise<object> {
    const { defaultPageSize, maxPageSize } = this.#parts.config;
    const asked = checkedNumber('page_size', request.page_size, maxPageSize);
    const size = asked || defaultPageSize;
    const after = quotaBeforePage(request.page_token);
    await catchUpMeta(this.#parts, call);
    const found = this.#parts.host
      .meta()
      .quotas()
      .after(after, size + 1);
    const quotas = found.slice(0, size);
    const last = found.length > size ? quotas.at(-1)!.principal : '';
    return { quotas: quotas.map(quotaFields), next_page_token: pageTokenAfter(last) };
  }
}

function checkedPrincipal(principal: string): string {
  return principal === EVERYBODY ? EVERYBODY : checkedName('principal', principal);
}

function checkedLimits(fields: QuotaFields): QuotaLimits {
  const given = QUOTA_NAMES.filter((name) => fields[FIELDS[name]] !== undefined);
  if (given.length > 0) {
    return Object.fromEntries(given.map((name) => [name, checkedLimit(name, fields)]));
  }
  throw new CallError('INVALID_REQUEST', 'give at least one limit, or remove the quota');
}

function checkedLimit(name: QuotaName, fields: QuotaFields): number {
  const field = FIELDS[name];
  const value = int64(field, fields[field]!);
  const isRate = (QUOTA_RATES as readonly string[]).includes(name);
  if (value > 0 || !isRate) return value;
  throw new CallError('INVALID_REQUEST', `${field} is 0: take the access rules away instead`);
}

function quotaBeforePage(token: string): string {
  const isEverybody = token === pageTokenAfter(EVERYBODY);
  return isEverybody ? EVERYBODY : nameBeforePage(token);
}

function quotaFields({ limits, principal }: Quota): object {
  const given = QUOTA_NAMES.filter((name) => limits[name] !== undefined);
  return {
    principal,
    ...Object.fromEntries(given.map((name) => [FIELDS[name], limits[name]])),
  };
}
