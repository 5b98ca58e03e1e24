/**
 * What a node of production does for its cluster beside Raft, wired as there: shards that it leads
 * are brought where the metadata wants them, its addresses are registered, retired replicas go.
 * Of one life of a process.
 */
import type { RaftDriver } from '../../raft/driver.ts';
import type { MonotonicMs, NodeId, ShardId } from '../../raft/types.ts';
import type { MetaCommand, MetaState } from '../cluster/api.ts';
import { META_SHARD } from '../cluster/birth-placement.ts';
import { PLACEMENT_TIMINGS } from '../cluster/placement-reconciler.ts';
import { keepRegistered } from '../cluster/registration.ts';
import { reportSuspects, type SuspectReplica } from '../cluster/report-suspects.ts';
import { runPlacement } from '../cluster/run-placement.ts';
import { Listeners } from '../shards/listeners.ts';
import type { LocalShards } from '../shards/local-shards.ts';
import type { MetaDone } from './metadata.ts';

export interface HousekeepingParts {
  readonly node: NodeId;
  readonly incarnation: string;
  readonly driver: RaftDriver;
  readonly meta: MetaState;
  readonly shards: LocalShards;
  readonly suspects: readonly SuspectReplica[];
  nowMs(): MonotonicMs;
  startTimer(delayMs: number, fire: () => void): () => void;
  propose(command: MetaCommand, done: MetaDone): void;
  log(text: string): void;
}

/** The time to get well is short: so are the longest waits, and a stable reign. */
const TIMINGS = { ...PLACEMENT_TIMINGS, balanceAfterMs: 1000, maxBackoffMs: 2000 };

export class Housekeeping {
  readonly #leadership = new Listeners<[ShardId]>();
  readonly #applied = new Listeners<[ShardId]>();
  readonly #peerChange = new Listeners<[NodeId, boolean]>();
  readonly #up = new Set<NodeId>();

  constructor(parts: HousekeepingParts) {
    const { node, incarnation, driver, meta, shards, nowMs, startTimer } = parts;
    const host = {
      node,
      meta: () => meta,
      leaderOf: (shard: ShardId) => driver.leaderOf(shard),
      onLeadership: (listener: (shard: ShardId) => void) => this.#leadership.add(listener),
      onApplied: (listener: (shard: ShardId) => void) => this.#applied.add(listener),
    };
    const proposer = { proposeMeta: parts.propose };
    this.#applied.add((shard) => {
      if (shard === META_SHARD) shards.dropRetired();
    });
    keepRegistered(host, proposer, { incarnation, grpcAddress: `g${node}`, peerAddress: '' });
    const memory = { incarnation, highestOf: (shard: ShardId) => shards.highestOf(shard) };
    reportSuspects(host, proposer, parts.suspects, memory, startTimer);
    runPlacement({
      host,
      driver,
      peers: {
        isUp: (peer) => this.#up.has(peer),
        onPeerChange: (listener) => this.#peerChange.add(listener),
      },
      proposer,
      logger: { info: (_, text) => parts.log(text) },
      timers: { nowMs, startTimer },
      timings: TIMINGS,
    });
  }

  leadershipChanged(shard: ShardId): void {
    this.#leadership.call(shard);
  }

  applied(shard: ShardId): void {
    this.#applied.call(shard);
  }

  peerChanged(node: NodeId, isUp: boolean): void {
    if (isUp) this.#up.add(node);
    else this.#up.delete(node);
    this.#peerChange.call(node, isUp);
  }
}
