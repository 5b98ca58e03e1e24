/** Tokens as an operator would issue them, and a cluster of tests that asks for them. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { AccessRule, ResourceKind, Verb } from '../../src/cluster/access-api.ts';
import { encodeMetaCommand } from '../../src/cluster/meta-codec.ts';
import { keyIdOf } from '../../src/security/token-keys.ts';
import { issueToken, type TokenWish } from '../../src/security/tokens.ts';
import type { AuthOptions } from '../../src/service/guard.ts';
import type { FakeCluster } from './service-cluster.ts';

const HOUR_MS = 3_600_000;
/** As the services of a FakeCluster are told. */
export const CLUSTER_ID = 'test';
export const ADMIN = 'root';

export function keyPair(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync('ed25519');
}

export class TestIssuer {
  readonly #signing: KeyObject;
  readonly keyId: string;
  readonly keys = new Map<string, KeyObject>();
  readonly #listeners = new Set<() => void>();

  constructor() {
    const { privateKey, publicKey } = keyPair();
    this.#signing = privateKey;
    this.keyId = keyIdOf(publicKey);
    this.keys.set(this.keyId, publicKey);
  }

  get auth(): AuthOptions {
    return {
      admins: new Set([ADMIN]),
      maxTokenLifetimeMs: 24 * HOUR_MS,
      takesCertificates: false,
      keys: { current: this.keys, onChange: (listener) => void this.#listeners.add(listener) },
    };
  }

  takeKeyAway(): void {
    this.keys.clear();
    for (const listener of this.#listeners) listener();
  }

  async token(principal: string, change: Partial<TokenWish> = {}): Promise<string> {
    const nowMs = Date.now();
    const wish = { clusterId: CLUSTER_ID, principal, lifetimeMs: HOUR_MS, nowMs };
    return (await issueToken(this.#signing, { ...wish, ...change })).token;
  }
}

/** `on` is a name, or a prefix that ends with `*`. */
export function ruleOf(
  principal: string,
  kind: ResourceKind,
  on: string,
  ...verbs: Verb[]
): AccessRule {
  const isPrefix = on.endsWith('*');
  return { principal, kind, name: isPrefix ? on.slice(0, -1) : on, isPrefix, verbs };
}

export function grant(cluster: FakeCluster, ...rule: Parameters<typeof ruleOf>): void {
  change(cluster, 'grantAccess', rule);
}

export function revoke(cluster: FakeCluster, ...rule: Parameters<typeof ruleOf>): void {
  change(cluster, 'revokeAccess', rule);
}

function change(
  cluster: FakeCluster,
  type: 'grantAccess' | 'revokeAccess',
  rule: Parameters<typeof ruleOf>,
): void {
  cluster.append(0, encodeMetaCommand({ type, rule: ruleOf(...rule) }), new Uint8Array(0));
}
