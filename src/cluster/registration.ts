/** Sees to it that the metadata knows under which address clients reach this node. */
import type { ShardHost } from '../shards/api.ts';
import type { MetaCommand } from './api.ts';
import { META_SHARD } from './first-configuration.ts';

export interface MetaProposer {
  proposeMeta(command: MetaCommand, done: (error: unknown) => void): void;
}

/** Looks at every change of the metadata's leader; proposes only when the record differs. */
export function keepRegistered(
  host: ShardHost,
  proposer: MetaProposer,
  address: string,
): { stop(): void } {
  const { node } = host;
  let proposing = false;
  const look = (): void => {
    const known = host
      .meta()
      .nodes()
      .find((one) => one.node === node);
    if (proposing || known?.address === address || host.leaderOf(META_SHARD) === undefined) return;
    proposing = true;
    proposer.proposeMeta({ type: 'registerNode', node, address }, () => {
      proposing = false;
    });
  };
  const stop = host.onLeadership((shard) => {
    if (shard === META_SHARD) look();
  });
  return { stop };
}
