import { ServerCredentials } from '@grpc/grpc-js';
import { secureContextOptions } from './tls-material.ts';
import type { WatchedMaterial } from './watched-material.ts';

const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * TLS for the client port, whose certificates may change while it listens. With a CA every client
 * must show a certificate of it: grpc-js hands on what a client showed, verified or not, so one
 * that may be shown or left out would prove nothing.
 */
export class TlsServerCredentials extends ServerCredentials {
  constructor(material: WatchedMaterial) {
    const asked = material.current.ca !== undefined;
    super(
      {
        ...{ requestCert: asked, rejectUnauthorized: asked },
        handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      },
      secureContextOptions(material.current),
    );
    material.onChange((found) => this.updateSecureContextOptions(secureContextOptions(found)));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
