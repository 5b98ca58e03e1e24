/**
 * Bounds of one HTTP/2 connection that grpc-js (1.14.7) has no option for: said to Node itself, by
 * fields of the server that a test looks after. A connection that goes over one of them is closed.
 */
import type { Http2SecureServer, ServerOptions } from 'node:http2';
import type { Socket } from 'node:net';
import type { Server } from '@grpc/grpc-js';
import type { Limit } from './limits.ts';

const LIMITS = {
  maxHeaderListBytes: [16_384, 'bytes', 'names and values of the metadata of one call'],
  maxHeaderPairs: [128, 'entries', 'metadata of one call'],
  maxSettingsEntries: [32, 'entries', 'one SETTINGS frame'],
  maxOutstandingPings: [10, 'pings', 'unanswered on one connection'],
  maxResetsAtOnce: [1_000, 'calls', 'cancelled at once on one connection, which is closed then'],
  maxResetsPerSecond: [33, 'calls', 'cancelled per second on one connection in the long run'],
  maxInvalidFrames: [1_000, 'frames', 'invalid on one connection'],
  maxRejectedStreams: [100, 'calls', 'over maxConcurrentStreams on one connection'],
} as const satisfies Record<string, readonly [value: number, unit: string, meaning: string]>;

/** Those of resets are built into Node 20, as they stand here; later ones take them. */
interface Http2Options extends ServerOptions {
  readonly streamResetBurst: number;
  readonly streamResetRate: number;
}

const OPTIONS: Http2Options = {
  maxHeaderListPairs: LIMITS.maxHeaderPairs[0],
  maxSettings: LIMITS.maxSettingsEntries[0],
  maxOutstandingPings: LIMITS.maxOutstandingPings[0],
  streamResetBurst: LIMITS.maxResetsAtOnce[0],
  streamResetRate: LIMITS.maxResetsPerSecond[0],
  maxSessionInvalidFrames: LIMITS.maxInvalidFrames[0],
  maxSessionRejectedStreams: LIMITS.maxRejectedStreams[0],
};

/** What grpc-js keeps to itself. */
interface ServerFields {
  readonly commonServerOptions?: ServerOptions;
  readonly http2Servers?: ReadonlyMap<Http2SecureServer, unknown>;
}

/** Of a server that has no port yet. */
export function boundConnections(server: Server): void {
  const { commonServerOptions: options } = server as unknown as ServerFields;
  if (options?.settings === undefined) throw new TypeError('grpc-js names its options otherwise');
  Object.assign(options, OPTIONS);
  options.settings.maxHeaderListSize = LIMITS.maxHeaderListBytes[0];
}

/** Clients that TLS turns away: with no certificate, a bad one, or none of what we speak. */
export function onTlsRefused(
  server: Server,
  refused: (source: string, error: NodeJS.ErrnoException) => void,
): void {
  const { http2Servers } = server as unknown as ServerFields;
  if (http2Servers === undefined) throw new TypeError('grpc-js names its servers otherwise');
  for (const one of http2Servers.keys()) {
    one.on('tlsClientError', (error, socket) => {
      const { remoteAddress = '', remotePort = 0 } = socket as Socket;
      refused(`${remoteAddress}:${remotePort}`, error);
    });
  }
}

/** For DescribeLimits. */
export function http2Limits(): Limit[] {
  return Object.entries(LIMITS).map(([name, [value, unit, meaning]]) => {
    return { name, value, unit, meaning };
  });
}
