/** Keys that sign tokens, and those that verify them: Ed25519, as PEM. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { errorCode, Failure, oneLine } from '../failure.ts';
import { assertOwnersOnly } from './tls-material.ts';

/** By the id that tokens name in `kid`. */
export type TokenKeys = ReadonlyMap<string, KeyObject>;

const ID_CHARACTERS = 16;

/** Of the key itself: nobody has to name it, and one file never passes for another. */
export function keyIdOf(publicKey: KeyObject): string {
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('base64url').slice(0, ID_CHARACTERS);
}

/** Rejects with a `Failure` of one line that says what to do. */
export async function readTokenKeys(files: readonly string[]): Promise<TokenKeys> {
  const keys = new Map<string, KeyObject>();
  for (const file of files) {
    const key = publicKeyIn(file, await read(file));
    keys.set(keyIdOf(key), key);
  }
  return keys;
}

export async function readSigningKey(file: string): Promise<KeyObject> {
  await assertOwnersOnly(file);
  return keyFrom(file, await read(file), createPrivateKey, 'private');
}

/** A private key would do, too: it has no business on a node. */
function publicKeyIn(file: string, pem: Buffer): KeyObject {
  if (pem.includes('PRIVATE KEY')) {
    throw new Failure(`${file} holds a private key: nodes take the public one, which ends in .pub`);
  }
  return keyFrom(file, pem, createPublicKey, 'public');
}

function keyFrom(
  file: string,
  pem: Buffer,
  create: (pem: Buffer) => KeyObject,
  kind: 'private' | 'public',
): KeyObject {
  let key: KeyObject;
  try {
    key = create(pem);
  } catch (error) {
    const text = `${file} holds no ${kind} key that can be read (PEM without a password)`;
    throw new Failure(text, undefined, error);
  }
  if (key.asymmetricKeyType === 'ed25519') return key;
  throw new Failure(`${file}: tokens are signed with Ed25519; holdfast token key makes such a key`);
}

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    const why = errorCode(error) === 'ENOENT' ? 'there is no such file' : oneLine(error);
    throw new Failure(`${file}: ${why}`, undefined, error);
  }
}
