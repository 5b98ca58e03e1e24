/** The pair of keys that tokens are signed and verified with, as two files. */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Failure } from '../failure.ts';
import { keyIdOf } from './token-keys.ts';

export interface TokenKeyFiles {
  readonly key: string;
  readonly publicKey: string;
  readonly id: string;
}

export function tokenKeyPaths(path: string): Omit<TokenKeyFiles, 'id'> {
  return { key: `${path}.key`, publicKey: `${path}.pub` };
}

/** Never over one that is there: what it signed would be worth nothing. */
export function newTokenKey(path: string): TokenKeyFiles {
  const files = tokenKeyPaths(path);
  for (const file of [files.key, files.publicKey]) {
    if (existsSync(file)) throw new Failure(`${file} is there already: choose another --out`);
  }
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const pem = { format: 'pem' } as const;
  writeFileSync(files.key, privateKey.export({ ...pem, type: 'pkcs8' }), { mode: 0o600 });
  writeFileSync(files.publicKey, publicKey.export({ ...pem, type: 'spki' }));
  return { ...files, id: keyIdOf(publicKey) };
}
