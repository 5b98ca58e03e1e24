import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext, type SecureContext } from 'node:tls';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';

/** PEM, as text or bytes: what is in the files, not their names. */
export interface TlsOptions {
  /** Whose certificates the servers show; when left out, those that the system trusts. */
  readonly ca?: string | Uint8Array;
  /** Shown to servers that ask for one; goes with `key`. */
  readonly cert?: string | Uint8Array;
  readonly key?: string | Uint8Array;
}

/** Credentials and options of the channel to one server. */
export interface ChannelSecurity {
  readonly credentials: ChannelCredentials;
  readonly options: Readonly<Record<string, string>>;
}

/** A name that no server has: TLS takes none that is an address. */
const NO_NAME = 'address.invalid';

export function channelSecurity(tls: TlsOptions | undefined): (address: string) => ChannelSecurity {
  if (tls === undefined) {
    const insecure = { credentials: credentials.createInsecure(), options: {} };
    return () => insecure;
  }
  const context = secureContext(tls);
  return (address) => {
    const host = address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
    const verify = {
      checkServerIdentity: (_: string, cert: Parameters<typeof checkServerIdentity>[1]) =>
        checkServerIdentity(host, cert),
    };
    return {
      credentials: credentials.createFromSecureContext(context, verify),
      options: isIP(host) === 0 ? {} : { 'grpc.ssl_target_name_override': NO_NAME },
    };
  };
}

function secureContext({ ca, cert, key }: TlsOptions): SecureContext {
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError('tls: cert and key go together');
  }
  const given = Object.entries({ ca, cert, key }).filter(([, pem]) => pem !== undefined);
  const pems = given.map(([name, pem]) => [name, Buffer.from(pem as Uint8Array)] as const);
  for (const [name, pem] of pems) {
    if (pem.includes('-----BEGIN ')) continue;
    throw new TypeError(`tls.${name} must be PEM (what is in the file, not its name)`);
  }
  try {
    return createSecureContext({ ...Object.fromEntries(pems), minVersion: 'TLSv1.2' });
  } catch (error) {
    throw new TypeError(`tls: ${(error as Error).message}`, { cause: error });
  }
}
