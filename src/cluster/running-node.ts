import type { ShardHost } from '../shards/api.ts';

/** What `startNode` gives to whoever started the node. */
export interface RunningNode {
  readonly grpcPort: number;
  readonly peerPort: number;
  /** undefined = nothing listens (`metrics: false`). */
  readonly httpPort: number | undefined;
  /** Which shards this node leads and may answer for. */
  readonly host: Pick<ShardHost, 'shards' | 'isReady' | 'onLeadership'>;
  /** Hands in what is under way, closes everything, lets go of the directory. */
  stop(): Promise<void>;
}
