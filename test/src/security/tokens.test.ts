/** Which tokens are taken, and with which words others are refused. */
import { SignJWT, UnsecuredJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { Access, verbs } from '../../../src/security/access.ts';
import { Authenticator, type AuthenticatorOptions } from '../../../src/security/authenticator.ts';
import type { Principal } from '../../../src/security/principal.ts';
import { principalOf } from '../../../src/security/principal.ts';
import { keyIdOf } from '../../../src/security/token-keys.ts';
import { issueToken, MAX_TOKEN_BYTES } from '../../../src/security/tokens.ts';
import { CallError } from '../../../src/status.ts';
import { CLUSTER_ID, keyPair, ruleOf, TestIssuer } from '../../harness/tokens.ts';

const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;

class World {
  readonly issuer = new TestIssuer();
  nowMs = Date.now();
  version = 1;
  revoked = new Set<string>();
  readonly authenticator: Authenticator;

  constructor(change: Partial<AuthenticatorOptions> = {}, maxKnown?: number) {
    const options: AuthenticatorOptions = {
      ...{ clusterId: CLUSTER_ID, admins: new Set(['root']), maxTokenLifetimeMs: 24 * HOUR_MS },
      keys: () => this.issuer.keys,
      access: () => ({
        ...{ version: this.version, after: () => [], of: () => [] },
        isRevoked: (_principal, tokenId) => this.revoked.has(tokenId),
      }),
      nowMs: () => this.nowMs,
      ...change,
    };
    this.authenticator = new Authenticator(options, maxKnown);
  }

  async identify(token: string): Promise<Principal> {
    const authorization = `Bearer ${token}`;
    return this.authenticator.identify({ authorization, certificateName: () => undefined });
  }

  /** Reason and text of a token that must be refused; the text holds nothing of it. */
  async refusal(token: string): Promise<[string, string]> {
    const error = await this.identify(token).then(
      (taken) => new Error(`taken for ${taken.name}`),
      (thrown: unknown) => thrown,
    );
    if (!(error instanceof CallError)) throw error;
    for (const part of token.split('.').filter((one) => one !== '')) {
      expect(error.message).not.toContain(part);
    }
    return [error.reason, error.message];
  }
}

describe('a token', () => {
  it('says who somebody is, and who is named in auth.admins', async () => {
    const world = new World();
    const app = await world.identify(await world.issuer.token('app'));
    expect(app).toMatchObject({ name: 'app', isAdmin: false });
    expect(app.token).toMatchObject({ keyId: world.issuer.keyId });
    expect(await world.identify(await world.issuer.token('root'))).toMatchObject({ isAdmin: true });
  });

  it('is refused when expired, but for clocks that run apart', async () => {
    const world = new World();
    const token = await world.issuer.token('app', { lifetimeMs: 60 * SECOND_MS });
    world.nowMs += 85 * SECOND_MS;
    expect(await world.identify(token)).toMatchObject({ name: 'app' });
    world.nowMs += 10 * SECOND_MS;
    expect(await world.refusal(token)).toEqual(['TOKEN_EXPIRED', expect.stringMatching(/expired/)]);
    expect(await new World().refusal(token)).toMatchObject(['TOKEN_INVALID', /./]);
    const fresh = new World({ keys: () => world.issuer.keys });
    fresh.nowMs = world.nowMs;
    expect(await fresh.refusal(token)).toMatchObject(['TOKEN_EXPIRED', /./]);
  });

  it('is refused before its time', async () => {
    const world = new World();
    const later = { notBeforeMs: world.nowMs + 40 * SECOND_MS };
    const reason = ['TOKEN_NOT_YET_VALID', expect.stringMatching(/clocks/)];
    expect(await world.refusal(await world.issuer.token('app', later))).toEqual(reason);
    const issued = { nowMs: world.nowMs + 40 * SECOND_MS };
    expect(await world.refusal(await world.issuer.token('app', issued))).toEqual(reason);
    const soon = { notBeforeMs: world.nowMs + 20 * SECOND_MS };
    expect(await world.identify(await world.issuer.token('app', soon))).toBeTruthy();
  });

  it('is refused when it is for another cluster, of another key, or for too long', async () => {
    const world = new World();
    const { issuer } = world;
    const other = await issuer.token('app', { clusterId: 'other' });
    expect(await world.refusal(other)).toEqual(['TOKEN_INVALID', expect.stringMatching(/another/)]);
    const stranger = await new TestIssuer().token('app');
    const unknown = expect.stringMatching(/no key/);
    expect(await world.refusal(stranger)).toEqual(['TOKEN_INVALID', unknown]);
    const long = await issuer.token('app', { lifetimeMs: 25 * HOUR_MS });
    const tooLong = expect.stringMatching(/auth.maxTokenLifetimeMs/);
    expect(await world.refusal(long)).toEqual(['TOKEN_INVALID', tooLong]);
    const noName = await issuer.token('a/b');
    expect(await world.refusal(noName)).toEqual(['TOKEN_INVALID', expect.stringMatching(/name/)]);
  });

  it('is refused when another key signed it under the name of ours', async () => {
    const world = new World();
    const { privateKey } = keyPair();
    const forged = await new SignJWT({ sub: 'root', aud: CLUSTER_ID, jti: 'x' })
      .setProtectedHeader({ alg: 'EdDSA', kid: world.issuer.keyId })
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);
    expect(await world.refusal(forged)).toMatchObject(['TOKEN_INVALID', /./]);
  });

  it.each(['sub', 'iat', 'exp', 'jti', 'aud'])('is refused without %s', async (claim) => {
    const { privateKey, publicKey } = keyPair();
    const keyId = keyIdOf(publicKey);
    const world = new World({ keys: () => new Map([[keyId, publicKey]]) });
    const iat = Math.floor(world.nowMs / SECOND_MS);
    const all = { sub: 'app', aud: CLUSTER_ID, jti: 'x', iat, exp: iat + 60 };
    const sign = (claims: Record<string, unknown>) =>
      new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', kid: keyId }).sign(privateKey);
    expect(await world.identify(await sign(all))).toMatchObject({ name: 'app' });
    const { [claim]: _, ...rest } = all as Record<string, unknown>;
    expect(await world.refusal(await sign(rest))).toMatchObject(['TOKEN_INVALID', /./]);
  });

  it('is refused unsigned, with a shared secret, cut short, changed, or too long', async () => {
    const world = new World();
    const claims = { sub: 'root', aud: CLUSTER_ID, jti: 'x' };
    const none = new UnsecuredJWT(claims).setIssuedAt().setExpirationTime('1h').encode();
    const publicPem = [...world.issuer.keys.values()][0]!.export({ type: 'spki', format: 'pem' });
    const secret = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: world.issuer.keyId })
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(Buffer.from(publicPem));
    const token = await world.issuer.token('app');
    const [head, body, signature] = token.split('.') as [string, string, string];
    const forged = Buffer.from(body, 'base64url').toString().replace('app', 'root');
    // The same signature under another name of its algorithm.
    const { privateKey, publicKey } = keyPair();
    world.issuer.keys.set('own', publicKey);
    const renamed = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'Ed25519', kid: 'own' })
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey);
    const cuts = [token.slice(0, -1), `${head}.${body}.`, `${head}.${body}`, head, 'x'];
    const bad = [
      ...[none, secret, renamed, ...cuts, 'x'.repeat(MAX_TOKEN_BYTES + 1)],
      `${head}.${Buffer.from(forged).toString('base64url')}.${signature}`,
    ];
    for (const one of bad) expect((await world.refusal(one))[0], one).toBe('TOKEN_INVALID');
    expect(world.authenticator.knownTokens).toBe(0);
  });

  it('is needed, as Bearer', () => {
    const { authenticator } = new World();
    for (const authorization of [undefined, '', 'Bearer', 'Basic abc', 'Bearer a b']) {
      const shown = { authorization, certificateName: () => undefined };
      expect(() => authenticator.identify(shown)).toThrow(/authorization: Bearer/);
    }
  });
});

describe('a token that was verified', () => {
  it('is found again at once, until it is revoked or its key is gone', async () => {
    const world = new World();
    const token = await world.issuer.token('app');
    const known = await world.identify(token);
    const again = () =>
      world.authenticator.identify({
        authorization: `Bearer ${token}`,
        certificateName: () => undefined,
      });
    expect(again()).toBe(known);
    world.revoked.add(known.token!.id);
    // Rules tell by their version that something changed.
    expect(again()).toBe(known);
    world.version += 1;
    expect(again).toThrow(/revoked/);
    expect(await world.refusal(token)).toMatchObject(['TOKEN_REVOKED', /./]);
    world.revoked.clear();
    expect(await world.identify(token)).toMatchObject({ name: 'app' });
    world.issuer.keys.clear();
    world.authenticator.forget();
    expect(await world.refusal(token)).toMatchObject(['TOKEN_INVALID', /./]);
  });

  it('is remembered with a bound, the oldest forgotten first', async () => {
    const world = new World({}, 2);
    const tokens: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      tokens.push(await world.issuer.token(name));
      await world.identify(tokens.at(-1)!);
    }
    expect(world.authenticator.knownTokens).toBe(2);
    const shown = (token: string) => ({
      ...{ authorization: `Bearer ${token}`, certificateName: () => undefined },
    });
    expect(world.authenticator.identify(shown(tokens[2]!))).toMatchObject({ name: 'c' });
    expect(world.authenticator.identify(shown(tokens[0]!))).toBeInstanceOf(Promise);
  });
});

describe('a certificate', () => {
  const principal = (...names: string[]) =>
    principalOf('c1', { subjectAltName: names.map((name) => `URI:${name}`).join(', ') });

  it('names its principal as a URI of this cluster, and no node', () => {
    expect(principal('holdfast://c1/client/app')).toBe('app');
    expect(principal('spiffe://x/y', 'holdfast://c1/client/app')).toBe('app');
    expect(principal('holdfast://c2/client/app')).toBeUndefined();
    expect(principal('holdfast://c1/node/1')).toBeUndefined();
    expect(principal('holdfast://c1/client/a/b')).toBeUndefined();
    expect(principal()).toBeUndefined();
  });
});

describe('access', () => {
  const rules = [
    ruleOf('app', 'topic', 'orders*', 'produce'),
    ruleOf('app', 'topic', 'orders-eu', 'fetch'),
    ruleOf('*', 'topic', 'news', 'fetch'),
    ruleOf('app', 'group', 'orders', 'commit'),
  ];
  const view = {
    ...{ version: 1, after: () => [], isRevoked: () => false },
    of: (principal: string) => rules.filter((rule) => rule.principal === principal),
  };

  it('is what the rules of the principal and of everybody give together', () => {
    const access = new Access(view, 'app', false);
    expect(access.verbsOn('topic', 'orders-eu')).toBe(verbs('produce', 'fetch'));
    expect(access.verbsOn('topic', 'orders')).toBe(verbs('produce'));
    expect(access.verbsOn('topic', 'order')).toBe(0);
    expect(access.verbsOn('topic', 'news')).toBe(verbs('fetch'));
    expect(access.verbsOn('topic', 'news-eu')).toBe(0);
    expect(access.verbsOn('group', 'orders')).toBe(verbs('commit'));
    expect(access.verbsOn('cluster', '')).toBe(0);
    expect(new Access(view, 'other', false).verbsOn('topic', 'orders')).toBe(0);
    const all = verbs('produce', 'fetch', 'commit', 'txn', 'admin');
    expect(new Access(view, 'x', true).verbsOn('cluster', '')).toBe(all);
  });
});

it('an issued token has an id of its own', async () => {
  const { privateKey } = keyPair();
  const wish = { clusterId: 'c', principal: 'p', lifetimeMs: 1000, nowMs: 1 };
  const [one, other] = [await issueToken(privateKey, wish), await issueToken(privateKey, wish)];
  expect(one.id).not.toBe(other.id);
});
