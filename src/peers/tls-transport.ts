/**
 * TLS between nodes, always both ways: whoever connects, and whoever is connected to, shows a
 * certificate of the CA of this port. What it proves is judged by `gatekeeper.ts`.
 */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import {
  connect,
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  Server,
  TLSSocket,
} from 'node:tls';
import { errorCode } from '../failure.ts';
import { uriNames } from '../security/node-name.ts';
import { secureContextOptions } from '../security/tls-material.ts';
import type { WatchedMaterial } from '../security/watched-material.ts';
import type { Refusal } from './handshake.ts';
import type { PeerLimits } from './limits.ts';
import type { HostPort, PeerProof, PeerTransport, ServerEvents } from './transport.ts';
import { originOf } from './transport.ts';

/** Judged here and by name, so that the log can say what was wrong. */
const JUDGED_BY_US = { rejectUnauthorized: false, checkServerIdentity: () => undefined } as const;
/** What OpenSSL says when the other side speaks no TLS at all. */
const PLAIN_TEXT = /WRONG_VERSION_NUMBER|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG|RECORD_LAYER|UNKNOWN_/;

export class TlsTransport implements PeerTransport {
  readonly #material: WatchedMaterial;
  readonly #refusals = new WeakMap<Socket, Refusal>();
  #context: SecureContext;

  constructor(material: WatchedMaterial) {
    this.#material = material;
    this.#context = createSecureContext(secureContextOptions(material.current));
    material.onChange((found) => {
      this.#context = createSecureContext(secureContextOptions(found));
    });
  }

  connect(address: HostPort, onConnect: () => void): Socket {
    const { host, port } = address;
    const socket = connect({ host, port, secureContext: this.#context, ...JUDGED_BY_US });
    let reached = false;
    let secure = false;
    socket.once('connect', () => {
      reached = true;
    });
    socket.once('secureConnect', () => {
      secure = true;
      onConnect();
    });
    const ended = (error?: Error): void => {
      if (reached && !secure) this.#refusals.set(socket, handshakeRefusal(error));
    };
    socket.once('error', ended);
    socket.once('end', () => ended());
    return socket;
  }

  createServer(events: ServerEvents, limits: PeerLimits): Server {
    const options = secureContextOptions(this.#material.current);
    const server = new PeerTlsServer(options, events, limits);
    this.#material.onChange((found) => server.setSecureContext(secureContextOptions(found)));
    return server;
  }

  proofOf(socket: Socket): PeerProof {
    const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
    if (certificate === undefined) return refusal('it shows no certificate');
    const { authorized, authorizationError } = socket as TLSSocket;
    if (!authorized) return refusal(whyNot(certificate, authorizationError));
    return { names: uriNames(certificate) };
  }

  refusalOf(socket: Socket): Refusal | undefined {
    return this.#refusals.get(socket);
  }
}

/** Bounds those that have connected and not yet shaken hands; they go with it when it closes. */
class PeerTlsServer extends Server {
  readonly #shaking = new Map<string, Socket>();

  constructor(options: SecureContextOptions, events: ServerEvents, limits: PeerLimits) {
    super({
      ...{ ...options, requestCert: true, rejectUnauthorized: false },
      handshakeTimeout: limits.handshakeTimeoutMs,
    });
    this.prependListener('connection', (socket: Socket) => {
      const origin = originOf(socket);
      if (this.#shaking.size >= limits.maxPendingHandshakes) {
        const detail = `${this.#shaking.size} others have not agreed on encryption`;
        events.onRefused(origin, { reason: 'tooManyPending', detail });
        socket.destroy();
        return;
      }
      this.#shaking.set(origin, socket);
      socket.once('close', () => this.#shaking.delete(origin));
    });
    this.on('secureConnection', (socket) => {
      this.#shaking.delete(originOf(socket));
      events.onConnection(socket);
    });
    this.on('tlsClientError', (error, socket) => {
      // Who went away by itself, such as a probe of the port, was not refused.
      if (errorCode(error) !== 'ECONNRESET') {
        events.onRefused(originOf(socket), handshakeRefusal(error));
      }
      socket.destroy();
    });
  }

  override close(done?: (error?: Error) => void): this {
    for (const socket of this.#shaking.values()) socket.destroy();
    return super.close(done);
  }
}

function handshakeRefusal(error?: Error): Refusal {
  const code = errorCode(error) ?? 'it ended the connection';
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') {
    return { reason: 'timeout', detail: 'it did not agree on encryption in time' };
  }
  const detail = PLAIN_TEXT.test(code)
    ? 'it speaks without encryption, and this node has tls.peer: set it on all nodes'
    : `no agreement on encryption (${code}): has every node tls.peer?`;
  return { reason: 'noEncryption', detail };
}

function refusal(detail: string): PeerProof {
  return { refusal: { reason: 'badCertificate', detail } };
}

function whyNot({ validFrom, validTo }: X509Certificate, error: Error | string): string {
  const code = String(errorCode(error) ?? error);
  if (code === 'CERT_HAS_EXPIRED') return `its certificate expired on ${validTo}`;
  if (code === 'CERT_NOT_YET_VALID') return `its certificate is not valid before ${validFrom}`;
  return `its certificate is not one of the CA that this node trusts (${code})`;
}
