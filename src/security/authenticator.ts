/**
 * From what a call shows to who calls. A token is verified once and then found by its hash: the
 * token itself is kept nowhere. A bad one is not remembered, so it costs a look at its signature
 * each time; no more of these are under way than a bound allows.
 */
import { createHash } from 'node:crypto';
import type { AccessView } from '../cluster/access-api.ts';
import { CallError } from '../status.ts';
import type { Principal } from './principal.ts';
import type { TokenKeys } from './token-keys.ts';
import { tokenExpired, tokenRevoked, verifyToken } from './tokens.ts';

export interface AuthenticatorOptions {
  readonly clusterId: string;
  readonly admins: ReadonlySet<string>;
  readonly maxTokenLifetimeMs: number;
  readonly keys: () => TokenKeys;
  readonly access: () => AccessView;
  readonly nowMs: () => number;
}

/** What a call shows. */
export interface Credentials {
  /** The metadata entry `authorization`. */
  readonly authorization: string | undefined;
  /** Named by the certificate of the connection, where that counts; asked for last. */
  readonly certificateName: () => string | undefined;
}

interface Known {
  readonly principal: Principal;
  /** Of rules and revocations when it was looked at last. */
  version: number;
}

const BEARER = /^Bearer +(\S+)$/i;
const MAX_KNOWN_TOKENS = 10_000;
const MAX_VERIFICATIONS = 256;

export class Authenticator {
  readonly #options: AuthenticatorOptions;
  /** By hash; the oldest first. */
  readonly #known = new Map<string, Known>();
  readonly #maxKnown: number;
  #verifications = 0;

  constructor(options: AuthenticatorOptions, maxKnown = MAX_KNOWN_TOKENS) {
    this.#options = options;
    this.#maxKnown = maxKnown;
  }

  get knownTokens(): number {
    return this.#known.size;
  }

  /** At once where the token is known. Throws or rejects with a `CallError`. */
  identify(shown: Credentials): Principal | Promise<Principal> {
    const { authorization } = shown;
    if (authorization === undefined) return this.#ofCertificate(shown.certificateName());
    const token = BEARER.exec(authorization)?.[1];
    if (token === undefined) throw missing();
    const hash = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(hash);
    if (known === undefined) return this.#verify(token, hash);
    const refused = this.#refusalOf(known);
    if (refused === undefined) return known.principal;
    this.#known.delete(hash);
    throw refused;
  }

  /** Why what was good once is so no more; undefined = it still is. */
  refusal({ name, token }: Principal): CallError | undefined {
    if (token === undefined) return undefined;
    const { access, keys, nowMs } = this.#options;
    if (token.expiresAtMs <= nowMs()) return tokenExpired();
    if (!keys().has(token.keyId)) return tokenRevoked();
    return access().isRevoked(name, token.id, token.issuedAtMs) ? tokenRevoked() : undefined;
  }

  /** Keys changed: each token is verified anew. */
  forget(): void {
    this.#known.clear();
  }

  #refusalOf(known: Known): CallError | undefined {
    const { access, nowMs } = this.#options;
    const { version } = access();
    if (known.version !== version) {
      const refused = this.refusal(known.principal);
      if (refused !== undefined) return refused;
      known.version = version;
    }
    return known.principal.token!.expiresAtMs <= nowMs() ? tokenExpired() : undefined;
  }

  async #verify(token: string, hash: string): Promise<Principal> {
    if (this.#verifications >= MAX_VERIFICATIONS) throw tooMany();
    this.#verifications += 1;
    const { clusterId, keys, maxTokenLifetimeMs: maxLifetimeMs, nowMs } = this.#options;
    try {
      const rules = { clusterId, keys: keys(), maxLifetimeMs, nowMs: nowMs() };
      const principal = this.#principal(await verifyToken(token, rules));
      const refused = this.refusal(principal);
      if (refused !== undefined) throw refused;
      this.#remember(hash, principal);
      return principal;
    } finally {
      this.#verifications -= 1;
    }
  }

  #remember(hash: string, principal: Principal): void {
    const [oldest] = this.#known.keys();
    if (this.#known.size >= this.#maxKnown) this.#known.delete(oldest!);
    this.#known.set(hash, { principal, version: this.#options.access().version });
  }

  #ofCertificate(name: string | undefined): Principal {
    if (name === undefined) throw missing();
    return this.#principal({ name, token: undefined });
  }

  #principal(owner: Pick<Principal, 'name' | 'token'>): Principal {
    return { ...owner, isAdmin: this.#options.admins.has(owner.name) };
  }
}

function missing(): CallError {
  return new CallError(
    'CREDENTIALS_MISSING',
    'this cluster asks who calls: send a token as metadata `authorization: Bearer …` ' +
      '(--token-file, HOLDFAST_TOKEN, or `token` of connect)',
  );
}

function tooMany(): CallError {
  const text = `${MAX_VERIFICATIONS} tokens are being verified on this node: try again later`;
  return new CallError('NODE_BUSY', text, { retryAfterMs: 100 });
}
