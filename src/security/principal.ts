/** Who calls, as a certificate or a token has proved. */
import type { X509Certificate } from 'node:crypto';
import { isName } from '../convert.ts';
import { uriNames } from './node-name.ts';

export interface Principal {
  /** As access rules name it. */
  readonly name: string;
  /** Named in `auth.admins`: may do everything. */
  readonly isAdmin: boolean;
  /** Undefined: a certificate proved it, and the connection lives by that. */
  readonly token: VerifiedToken | undefined;
}

export interface VerifiedToken {
  readonly id: string;
  /** The key that signed it. */
  readonly keyId: string;
  readonly issuedAtMs: number;
  /** Clocks that run apart are counted in. */
  readonly expiresAtMs: number;
}

/** A client's certificate says whose it is in this form, as a URI among its SANs. */
export function clientName(clusterId: string, principal: string): string {
  return `${clientPrefix(clusterId)}${principal}`;
}

/** undefined: it names nobody in this cluster. The first name counts. */
export function principalOf(
  clusterId: string,
  certificate: Pick<X509Certificate, 'subjectAltName'>,
): string | undefined {
  const prefix = clientPrefix(clusterId);
  const uri = uriNames(certificate).find((name) => name.startsWith(prefix));
  const name = uri?.slice(prefix.length);
  return name !== undefined && isName(name) ? name : undefined;
}

function clientPrefix(clusterId: string): string {
  return `holdfast://${clusterId}/client/`;
}
