/**
 * Who may do what, as rows of the table 'meta': rules that allow, and nothing that forbids. One row
 * per principal and resource, and one per revocation, each replaced as a whole.
 *
 *   access/KIND/exact|prefix/PRINCIPAL/NAME     revoked/principal/NAME     revoked/token/ID
 */
import type { ShardTimeMs } from '../../raft/types.ts';
import type { StateWriter } from '../broker/state-port.ts';
import { type AccessRule, MAX_TOKEN_LIFETIME_MS, orderedVerbs, ruleName } from './access-api.ts';
import {
  decodeAccessRule,
  encodeVersionedJson,
  type JsonRecord,
  MetaFormatError,
  text,
  uint,
} from './meta-codec.ts';

export const ACCESS_KEY_PREFIX = 'access/';
export const REVOKED_KEY_PREFIX = 'revoked/';

type Revocation =
  | {
      readonly of: 'principal';
      readonly principal: string;
      /** Its tokens that were issued until then. */
      readonly issuedUntilMs: number;
      readonly keepUntilMs: number;
    }
  | { readonly of: 'token'; readonly tokenId: string; readonly keepUntilMs: number };

export class AccessRules {
  readonly #rules = new Map<string, AccessRule>();
  readonly #byPrincipal = new Map<string, Map<string, AccessRule>>();
  readonly #revocations = new Map<string, Revocation>();
  #version = 0;

  /** Raised by every change; of this replica's life alone. */
  get version(): number {
    return this.#version;
  }

  get count(): number {
    return this.#rules.size;
  }

  get revocationCount(): number {
    return this.#revocations.size;
  }

  reset(): void {
    this.#rules.clear();
    this.#byPrincipal.clear();
    this.#revocations.clear();
    this.#version += 1;
  }

  /** False when the row is of another part of the metadata. */
  loadRow(name: string, fields: JsonRecord): boolean {
    if (name.startsWith(ACCESS_KEY_PREFIX)) this.#index(decodeAccessRule(fields));
    else if (name.startsWith(REVOKED_KEY_PREFIX)) {
      this.#revocations.set(name, readRevocation(fields));
    } else return false;
    this.#version += 1;
    return true;
  }

  after(name: string, limit: number): readonly AccessRule[] {
    const names = [...this.#rules.keys()].filter((one) => one > name).sort();
    return names.slice(0, limit).map((one) => this.#rules.get(one)!);
  }

  /** Not those of everybody. */
  of(principal: string): Iterable<AccessRule> {
    return this.#byPrincipal.get(principal)?.values() ?? [];
  }

  has(rule: Omit<AccessRule, 'verbs'>): boolean {
    return this.#rules.has(ruleName(rule));
  }

  /** Adds the verbs to those that the principal has there. */
  grant(rule: AccessRule, out: StateWriter): void {
    const before = this.#rules.get(ruleName(rule))?.verbs ?? [];
    this.#put({ ...rule, verbs: orderedVerbs([...before, ...rule.verbs]) }, out);
  }

  /** Takes the verbs away; a rule without any is gone. */
  revoke(rule: AccessRule, out: StateWriter): void {
    const known = this.#rules.get(ruleName(rule));
    if (known === undefined) return;
    this.#put({ ...known, verbs: known.verbs.filter((verb) => !rule.verbs.includes(verb)) }, out);
  }

  revokePrincipal(principal: string, issuedUntilMs: number, out: StateWriter): void {
    const name = `${REVOKED_KEY_PREFIX}principal/${principal}`;
    const before = this.#revocations.get(name);
    const until = before?.of === 'principal' ? before.issuedUntilMs : 0;
    const latest = Math.max(until, issuedUntilMs);
    const keepUntilMs = latest + MAX_TOKEN_LIFETIME_MS;
    this.#note(name, { of: 'principal', principal, issuedUntilMs: latest, keepUntilMs }, out);
  }

  revokeToken(tokenId: string, nowMs: ShardTimeMs, out: StateWriter): void {
    const keepUntilMs = nowMs + MAX_TOKEN_LIFETIME_MS;
    this.#note(`${REVOKED_KEY_PREFIX}token/${tokenId}`, { of: 'token', tokenId, keepUntilMs }, out);
  }

  /** Those that no valid token can be meant by any more. */
  forgetRevocations(nowMs: ShardTimeMs, out: StateWriter): void {
    for (const [name, { keepUntilMs }] of this.#revocations) {
      if (keepUntilMs >= nowMs) continue;
      this.#revocations.delete(name);
      out.put('meta', rowKey(name), undefined);
    }
  }

  isRevoked(principal: string, tokenId: string, issuedAtMs: number): boolean {
    if (this.#revocations.has(`${REVOKED_KEY_PREFIX}token/${tokenId}`)) return true;
    const found = this.#revocations.get(`${REVOKED_KEY_PREFIX}principal/${principal}`);
    return found?.of === 'principal' && issuedAtMs <= found.issuedUntilMs;
  }

  #put(rule: AccessRule, out: StateWriter): void {
    const name = ruleName(rule);
    const isGone = rule.verbs.length === 0;
    if (isGone) this.#drop(name, rule.principal);
    else this.#index(rule);
    this.#version += 1;
    out.put(
      'meta',
      rowKey(ACCESS_KEY_PREFIX + name),
      isGone ? undefined : encodeVersionedJson(rule),
    );
  }

  #index(rule: AccessRule): void {
    const name = ruleName(rule);
    this.#rules.set(name, rule);
    const own = this.#byPrincipal.get(rule.principal);
    if (own === undefined) this.#byPrincipal.set(rule.principal, new Map([[name, rule]]));
    else own.set(name, rule);
  }

  #drop(name: string, principal: string): void {
    this.#rules.delete(name);
    const own = this.#byPrincipal.get(principal);
    own?.delete(name);
    if (own?.size === 0) this.#byPrincipal.delete(principal);
  }

  #note(name: string, revocation: Revocation, out: StateWriter): void {
    this.#revocations.set(name, revocation);
    this.#version += 1;
    out.put('meta', rowKey(name), encodeVersionedJson(revocation));
  }
}

function readRevocation(fields: JsonRecord): Revocation {
  const keepUntilMs = uint(fields, 'keepUntilMs');
  if (fields.of === 'token') return { of: 'token', tokenId: text(fields, 'tokenId'), keepUntilMs };
  if (fields.of !== 'principal') throw new MetaFormatError('not a revocation');
  const issuedUntilMs = uint(fields, 'issuedUntilMs');
  return { of: 'principal', principal: text(fields, 'principal'), issuedUntilMs, keepUntilMs };
}

function rowKey(name: string): Uint8Array {
  return new Uint8Array(Buffer.from(name, 'utf8'));
}
