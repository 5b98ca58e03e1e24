/** Makes certificates: a development CA, and what it signs. Node itself only reads X.509. */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  cryptoProvider,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const SERIAL_BYTES = 16;
/** Clocks of the machines that check it may be behind. */
const BACKDATED_MS = 3_600_000;
const DAY_MS = 86_400_000;

cryptoProvider.set(webcrypto);

/** Both as PEM. */
export interface CertificateAndKey {
  readonly cert: string;
  readonly key: string;
}

export interface Validity {
  readonly days: number;
  readonly nowMs: number;
}

export interface LeafOptions extends Validity {
  readonly commonName: string;
  readonly uris: readonly string[];
  /** Host names and addresses under which it is dialled; none for a client. */
  readonly hosts: readonly string[];
}

/** Signs itself, and nothing but end certificates. */
export async function makeAuthority(name: string, validity: Validity): Promise<CertificateAndKey> {
  const keys = await newKeys();
  const usages = KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign;
  const certificate = await X509CertificateGenerator.createSelfSigned({
    ...{ serialNumber: newSerial(), name: subject(name), keys, signingAlgorithm: ALGORITHM },
    ...period(validity),
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(usages, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: pemOf(certificate), key: await keyPem(keys) };
}

export async function makeCertificate(
  authority: CertificateAndKey,
  options: LeafOptions,
): Promise<CertificateAndKey> {
  const keys = await newKeys();
  const issuer = new X509Certificate(authority.cert);
  const certificate = await X509CertificateGenerator.create({
    ...{ serialNumber: newSerial(), subject: subject(options.commonName), issuer: issuer.subject },
    ...{ publicKey: keys.publicKey, signingKey: await importKey(authority.key) },
    ...{ signingAlgorithm: ALGORITHM, ...period(options) },
    extensions: [...leafExtensions(options), await AuthorityKeyIdentifierExtension.create(issuer)],
  });
  return { cert: pemOf(certificate), key: await keyPem(keys) };
}

/** Who is dialled may serve; everybody may dial. */
function leafExtensions({ hosts, uris }: LeafOptions): Extension[] {
  const purposes = [ExtendedKeyUsage.clientAuth];
  if (hosts.length > 0) purposes.push(ExtendedKeyUsage.serverAuth);
  const names = [
    ...uris.map((value) => ({ type: 'url' as const, value })),
    ...hosts.map((value) => ({
      type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const),
      value,
    })),
  ];
  return [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    new ExtendedKeyUsageExtension(purposes),
    ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension(names)]),
  ];
}

function period({ days, nowMs }: Validity): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter: new Date(nowMs + days * DAY_MS),
  };
}

function subject(commonName: string): { CN: string[] }[] {
  return [{ CN: [commonName] }];
}

/** Positive, as RFC 5280 asks. */
function newSerial(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const bytes = PemConverter.decodeFirst(pem);
  return webcrypto.subtle.importKey('pkcs8', bytes, ALGORITHM, false, ['sign']);
}

async function keyPem({ privateKey }: webcrypto.CryptoKeyPair): Promise<string> {
  const bytes = await webcrypto.subtle.exportKey('pkcs8', privateKey);
  return `${PemConverter.encode(bytes, PemConverter.PrivateKeyTag)}\n`;
}

function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}
