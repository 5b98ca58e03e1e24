/** TLS of one node's two ports: which transport and which credentials they get. */
import { ServerCredentials } from '@grpc/grpc-js';
import type { Identity } from './cluster/identity.ts';
import type { TlsConfig } from './config.ts';
import { TlsTransport } from './peers/tls-transport.ts';
import { type PeerTransport, TCP_TRANSPORT } from './peers/transport.ts';
import { nodeName } from './security/node-name.ts';
import { TlsServerCredentials } from './security/server-credentials.ts';
import type { TlsFiles } from './security/tls-material.ts';
import { type TlsLogger, WatchedMaterial } from './security/watched-material.ts';

/** New certificates are in use this soon. */
const POLL_MS = 3000;

export interface NodeTls {
  readonly transport: PeerTransport;
  readonly credentials: ServerCredentials;
  stop(): void;
}

/** Throws a `Failure` if a file is missing, out of date, or open to others. */
export function openNodeTls(
  config: TlsConfig,
  { clusterId, node }: Identity,
  logger: TlsLogger,
): NodeTls {
  const watched: WatchedMaterial[] = [];
  const watch = (port: string, files: TlsFiles): WatchedMaterial => {
    const material = new WatchedMaterial(port, files, logger, Date.now);
    watched.push(material);
    return material;
  };
  const { grpc, peer } = config;
  const peerFiles = peer && { ...peer, mustName: nodeName(clusterId, node) };
  const tls = {
    credentials: grpc
      ? new TlsServerCredentials(watch('tls', grpc))
      : ServerCredentials.createInsecure(),
    transport: peerFiles ? new TlsTransport(watch('tls.peer', peerFiles)) : TCP_TRANSPORT,
  };
  for (const material of watched) material.start(POLL_MS);
  return {
    ...tls,
    stop: () => {
      for (const material of watched) material.stop();
    },
  };
}
