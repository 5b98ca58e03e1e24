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

/** Rejects with a `Failure` if a file is missing, out of date, or open to others. */
export async function openNodeTls(
  { grpc, peer }: TlsConfig,
  { clusterId, node }: Identity,
  logger: TlsLogger,
): Promise<NodeTls> {
  const open = (port: string, files: TlsFiles) =>
    WatchedMaterial.open(port, files, logger, Date.now);
  const clients = grpc && (await open('tls', grpc));
  const mustName = nodeName(clusterId, node);
  const peers = peer && (await open('tls.peer', { ...peer, mustName }));
  clients?.start(POLL_MS);
  peers?.start(POLL_MS);
  return {
    credentials: clients ? new TlsServerCredentials(clients) : ServerCredentials.createInsecure(),
    transport: peers ? new TlsTransport(peers) : TCP_TRANSPORT,
    stop: () => {
      clients?.stop();
      peers?.stop();
    },
  };
}
