/** Tokens: JSON Web Tokens for one cluster, signed with Ed25519, that say who somebody is. */
import { createPublicKey, type KeyObject, randomUUID } from 'node:crypto';
import { errors, jwtVerify, SignJWT } from 'jose';
import { isName } from '../convert.ts';
import { CallError } from '../status.ts';
import type { Principal } from './principal.ts';
import { keyIdOf, type TokenKeys } from './token-keys.ts';

const ALGORITHM = 'EdDSA';
const SECOND_MS = 1000;
/** Clocks of who issues, who calls and who verifies may be so far apart. */
export const CLOCK_SKEW_MS = 30 * SECOND_MS;
export const MAX_TOKEN_BYTES = 4096;
const MAX_ID_CHARACTERS = 64;

export interface TokenWish {
  readonly clusterId: string;
  readonly principal: string;
  readonly lifetimeMs: number;
  readonly nowMs: number;
  /** Not valid before; absent = at once. */
  readonly notBeforeMs?: number;
}

export interface TokenRules {
  readonly clusterId: string;
  readonly keys: TokenKeys;
  /** One that is issued for longer is not taken. */
  readonly maxLifetimeMs: number;
  readonly nowMs: number;
}

export type TokenOwner = Pick<Principal, 'name'> & { readonly token: NonNullable<Token> };
type Token = Principal['token'];

export async function issueToken(
  key: KeyObject,
  { clusterId, lifetimeMs, notBeforeMs, nowMs, principal }: TokenWish,
): Promise<{ readonly token: string; readonly id: string }> {
  const id = randomUUID();
  const issuedAt = Math.floor(nowMs / SECOND_MS);
  const wanted = new SignJWT()
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: keyIdOf(createPublicKey(key)) })
    .setSubject(principal)
    .setAudience(clusterId)
    .setJti(id)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + Math.floor(lifetimeMs / SECOND_MS));
  if (notBeforeMs !== undefined) wanted.setNotBefore(Math.floor(notBeforeMs / SECOND_MS));
  return { token: await wanted.sign(key), id };
}

/** Rejects with a `CallError` that says nothing of what the token holds. */
export async function verifyToken(token: string, rules: TokenRules): Promise<TokenOwner> {
  if (token.length > MAX_TOKEN_BYTES) throw invalid('it is too long');
  const { clusterId, keys, maxLifetimeMs, nowMs } = rules;
  const verified = await jwtVerify(token, ({ kid }) => keyOf(keys, kid), {
    algorithms: [ALGORITHM],
    audience: clusterId,
    clockTolerance: CLOCK_SKEW_MS / SECOND_MS,
    currentDate: new Date(nowMs),
    requiredClaims: ['sub', 'iat', 'exp', 'jti'],
  }).catch((error: unknown) => {
    throw refusalOf(error);
  });
  const { payload, protectedHeader } = verified;
  const { exp = 0, iat = 0, jti = '', sub = '' } = payload;
  const issuedAtMs = iat * SECOND_MS;
  if (!isName(sub)) throw invalid('its subject is no name');
  if (jti === '' || jti.length > MAX_ID_CHARACTERS) throw invalid('its id is missing or too long');
  if (issuedAtMs > nowMs + CLOCK_SKEW_MS) throw notYetValid();
  if ((exp - iat) * SECOND_MS > maxLifetimeMs) {
    throw invalid(`it is valid for longer than ${maxLifetimeMs} ms (auth.maxTokenLifetimeMs)`);
  }
  const expiresAtMs = exp * SECOND_MS + CLOCK_SKEW_MS;
  return { name: sub, token: { id: jti, keyId: protectedHeader.kid!, issuedAtMs, expiresAtMs } };
}

function keyOf(keys: TokenKeys, kid: string | undefined): KeyObject {
  const key = keys.get(kid ?? '');
  if (key === undefined) throw invalid('no key of auth.tokenKeys signed it');
  return key;
}

function refusalOf(error: unknown): CallError {
  if (error instanceof CallError) return error;
  if (error instanceof errors.JWTExpired) return tokenExpired();
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === 'nbf' && error.reason === 'check_failed') return notYetValid();
    if (error.claim === 'aud') return invalid('it is for another cluster');
    return invalid(`its claim ${error.claim} is missing or wrong`);
  }
  return invalid('it is damaged, or no key of auth.tokenKeys signed it');
}

function invalid(why: string): CallError {
  const text = `the token is not taken: ${why}. Get one for this cluster: holdfast token issue`;
  return new CallError('TOKEN_INVALID', text);
}

export function tokenExpired(): CallError {
  return new CallError('TOKEN_EXPIRED', 'the token has expired: get a new one');
}

function notYetValid(): CallError {
  const text =
    'the token is not valid yet: wait, or look at the clocks of this node and its issuer';
  return new CallError('TOKEN_NOT_YET_VALID', text);
}

export function tokenRevoked(): CallError {
  return new CallError('TOKEN_REVOKED', 'the token was revoked: ask for a new one');
}
