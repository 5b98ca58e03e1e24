/** Sees to it that the metadata knows where clients and other nodes reach this node. */
import type { ShardHost } from '../shards/api.ts';
import type { MetaCommand } from './api.ts';
import { META_SHARD } from './first-configuration.ts';

export interface MetaProposer {
  proposeMeta(command: MetaCommand, done: (error: unknown, result: unknown) => void): void;
}

type RegisteredHost = Pick<ShardHost, 'leaderOf' | 'meta' | 'node' | 'onLeadership'>;

/** Of a node, as others see it. */
export interface NodeAddresses {
  readonly incarnation: string;
  readonly grpcAddress: string;
  readonly peerAddress: string;
}

/** Looks at every change of the metadata's leader; proposes only when the record differs. */
export function keepRegistered(
  host: RegisteredHost,
  proposer: MetaProposer,
  addresses: NodeAddresses,
): { stop(): void } {
  const { node } = host;
  let proposing = false;
  const look = (): void => {
    if (proposing || isRegistered(host, addresses)) return;
    if (host.leaderOf(META_SHARD) === undefined) return;
    proposing = true;
    proposer.proposeMeta({ type: 'registerNode', node, ...addresses }, () => {
      proposing = false;
    });
  };
  const stop = host.onLeadership((shard) => {
    if (shard === META_SHARD) look();
  });
  return { stop };
}

/** Also true of a directory that is not the member's: it has nothing to say. */
function isRegistered(host: RegisteredHost, addresses: NodeAddresses): boolean {
  const known = host.meta().member(host.node);
  if (known?.incarnation !== addresses.incarnation) return true;
  const { grpcAddress, peerAddress } = known;
  return grpcAddress === addresses.grpcAddress && peerAddress === addresses.peerAddress;
}
