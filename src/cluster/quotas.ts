/**
 * How much each principal may ask for, as rows of the table 'meta', each replaced as a whole:
 *
 *   quota/PRINCIPAL
 */
import type { StateWriter } from '../broker/state-port.ts';
import { EVERYBODY } from './access-api.ts';
import { decodeQuota, encodeVersionedJson, type JsonRecord } from './meta-codec.ts';
import type { Quota, QuotaLimits, QuotaView } from './quota-api.ts';

const QUOTA_KEY_PREFIX = 'quota/';

export class Quotas implements QuotaView {
  readonly #quotas = new Map<string, Quota>();
  #version = 0;

  get version(): number {
    return this.#version;
  }

  get count(): number {
    return this.#quotas.size;
  }

  reset(): void {
    this.#quotas.clear();
    this.#version += 1;
  }

  /** False when the row is of another part of the metadata. */
  loadRow(name: string, fields: JsonRecord): boolean {
    if (!name.startsWith(QUOTA_KEY_PREFIX)) return false;
    const quota = decodeQuota(fields);
    this.#quotas.set(quota.principal, quota);
    this.#version += 1;
    return true;
  }

  has(principal: string): boolean {
    return this.#quotas.has(principal);
  }

  of(principal: string): QuotaLimits | undefined {
    return (this.#quotas.get(principal) ?? this.#quotas.get(EVERYBODY))?.limits;
  }

  after(principal: string, limit: number): readonly Quota[] {
    const names = [...this.#quotas.keys()].filter((one) => one > principal).sort();
    return names.slice(0, limit).map((one) => this.#quotas.get(one)!);
  }

  set(quota: Quota, out: StateWriter): void {
    this.#quotas.set(quota.principal, quota);
    this.#version += 1;
    out.put('meta', rowKey(quota.principal), encodeVersionedJson(quota));
  }

  remove(principal: string, out: StateWriter): void {
    if (!this.#quotas.delete(principal)) return;
    this.#version += 1;
    out.put('meta', rowKey(principal), undefined);
  }
}

function rowKey(principal: string): Uint8Array {
  return new Uint8Array(Buffer.from(QUOTA_KEY_PREFIX + principal, 'utf8'));
}
