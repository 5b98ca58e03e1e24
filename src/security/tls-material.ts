/** Certificate, key and trusted CA of one port: read from files, checked before they are used. */
import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { errorCode, Failure, oneLine } from '../failure.ts';
import { uriNames } from './node-name.ts';

/** Paths, as a configuration names them. */
export interface TlsFiles {
  /** PEM: the certificate, followed by those between it and the CA, if there are any. */
  readonly cert: string;
  readonly key: string;
  /** Whoever connects must show a certificate that one of these signed. */
  readonly ca: string | undefined;
  /** A URI among the names of the certificate, or nobody would believe whose it is. */
  readonly mustName?: string | undefined;
}

export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer | undefined;
  readonly validTo: Date;
}

export const MIN_TLS_VERSION = 'TLSv1.2';

/** Rejects with a `Failure` of one line that says what to do; `known` while nothing is new. */
export async function readTlsMaterial(
  files: TlsFiles,
  nowMs: number,
  known?: TlsMaterial,
): Promise<TlsMaterial> {
  // One after the other: the same files always give the same complaint.
  await assertOwnersOnly(files.key);
  const cert = await read(files.cert);
  const key = await read(files.key);
  const ca = files.ca === undefined ? undefined : await read(files.ca);
  if (known !== undefined && same(known, { cert, key, ca })) return known;
  const certificate = certificateIn(files.cert, cert);
  assertInTime(files.cert, certificate, nowMs);
  if (files.ca !== undefined) certificateIn(files.ca, ca!);
  assertPair(files, certificate, key);
  assertNamed(files, certificate);
  const material = { cert, key, ca, validTo: new Date(certificate.validTo) };
  assertUsable(files, material);
  return material;
}

/** What `node:tls` and grpc-js take. */
export function secureContextOptions({ cert, key, ca }: TlsMaterial): SecureContextOptions {
  return {
    ...{ cert, key, minVersion: MIN_TLS_VERSION },
    ...(ca === undefined ? {} : { ca }),
    // A resumed session would go on with what an earlier certificate proved to an earlier CA.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

type Contents = Omit<TlsMaterial, 'validTo'>;

function same(one: Contents, other: Contents): boolean {
  if (!one.cert.equals(other.cert) || !one.key.equals(other.key)) return false;
  if (one.ca === undefined || other.ca === undefined) return one.ca === other.ca;
  return one.ca.equals(other.ca);
}

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    const why = errorCode(error) === 'ENOENT' ? 'there is no such file' : oneLine(error);
    throw new Failure(`${file}: ${why}`, undefined, error);
  }
}

/** Who can read the key can pass for this node. */
export async function assertOwnersOnly(file: string): Promise<void> {
  // Whether it is there at all is for `read` to say.
  const { mode, uid } = await stat(file).catch(() => ({ mode: 0, uid: 0 }));
  if ((mode & foreignRights(uid, process.geteuid?.())) === 0) return;
  const rights = (mode & 0o777).toString(8).padStart(4, '0');
  throw new Failure(`${file} holds a private key and others may use it (${rights}): chmod 600 it`);
}

/**
 * Rights that a key file must not give. Where root owns it and this process is not root (a secret
 * that Kubernetes mounts for a group), its group is the only way to read it.
 */
export function foreignRights(owner: number, own: number | undefined): number {
  return owner === 0 && own !== 0 ? 0o037 : 0o077;
}

function certificateIn(file: string, pem: Buffer): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw new Failure(`${file} holds no certificate (PEM is expected)`, undefined, error);
  }
}

function assertInTime(file: string, certificate: X509Certificate, nowMs: number): void {
  const { validFrom, validTo } = certificate;
  if (nowMs > Date.parse(validTo)) {
    throw new Failure(`${file}: the certificate expired on ${validTo}; put a new one there`);
  }
  if (nowMs >= Date.parse(validFrom)) return;
  throw new Failure(
    `${file}: the certificate is not valid before ${validFrom}; is this machine's clock right?`,
  );
}

function assertPair(files: TlsFiles, certificate: X509Certificate, key: Buffer): void {
  let matches: boolean;
  try {
    matches = certificate.checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    const text = `${files.key} holds no private key that can be read (PEM without a password)`;
    throw new Failure(text, undefined, error);
  }
  if (matches) return;
  throw new Failure(`${files.key} is not the key of the certificate in ${files.cert}`);
}

function assertNamed({ cert, mustName }: TlsFiles, certificate: X509Certificate): void {
  if (mustName === undefined || uriNames(certificate).includes(mustName)) return;
  throw new Failure(
    `${cert}: the certificate does not name ${mustName} (a URI among its subject alternative ` +
      'names), so no other node would let this one in; holdfast cert node makes one that does',
  );
}

/** Whatever else OpenSSL dislikes: a key that is too short, a damaged chain. */
function assertUsable(files: TlsFiles, material: TlsMaterial): void {
  try {
    createSecureContext(secureContextOptions(material));
  } catch (error) {
    throw new Failure(`${files.cert}: ${oneLine(error)}`, undefined, error);
  }
}
