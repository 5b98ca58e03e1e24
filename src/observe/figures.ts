/** One look at a running node: what all readings of a scrape are taken from. */
import type { NodeConfig } from '../config.ts';
import type { NodeStorage } from '../node-storage.ts';
import type { PeerNetworkStats, RunningPeerNetwork } from '../peers/network.ts';
import { SERVICE_DEFAULTS } from '../service/config.ts';
import type { Service, ServiceStats } from '../service/service.ts';
import type { ShardHost, ShardStatus } from '../shards/api.ts';
import type { LogKeeper } from '../shards/log-keeper.ts';
import type { CheckpointSnapshots } from '../shards/snapshot-store.ts';
import type { StateFlush } from '../shards/state-flush.ts';
import { type DiskFigures, readDisk } from './disk.ts';
import { EventLoop, type EventLoopFigures } from './event-loop.ts';
import { type Leadership, Leaderships } from './leaderships.ts';

export interface ObservedParts {
  readonly config: NodeConfig;
  readonly host: ShardHost;
  readonly service: Pick<Service, 'stats'>;
  readonly peers: Pick<RunningPeerNetwork, 'stats'>;
  readonly storage: Pick<NodeStorage, 'log' | 'state'>;
  readonly flush: Pick<StateFlush, 'maxPendingBytes' | 'pendingBytes'>;
  readonly snapshots: Pick<CheckpointSnapshots, 'counts'>;
  readonly keeper: Pick<LogKeeper, 'checkpointsTaken'>;
}

export interface ShardFigures extends ShardStatus {
  readonly leadership: Leadership;
  readonly isLeader: boolean;
}

export interface Bound {
  /** As in the configuration, where it is there. */
  readonly name: string;
  readonly used: number;
  readonly limit: number;
}

export interface Figures {
  readonly node: number;
  readonly shards: readonly ShardFigures[];
  readonly service: ServiceStats;
  readonly bounds: readonly Bound[];
  readonly peers: PeerNetworkStats;
  readonly log: ReturnType<NodeStorage['log']['stats']>;
  readonly state: ReturnType<NodeStorage['state']['stats']>;
  readonly checkpointsTaken: number;
  readonly snapshots: CheckpointSnapshots['counts'];
  readonly topics: number;
  readonly disk: DiskFigures;
  readonly eventLoop: EventLoopFigures;
}

export class NodeFigures {
  readonly #parts: ObservedParts;
  readonly #leaderships: Leaderships;
  readonly #eventLoop = new EventLoop();

  constructor(parts: ObservedParts) {
    this.#parts = parts;
    this.#leaderships = new Leaderships(parts.host);
  }

  async read(): Promise<Figures> {
    const { config, host, keeper, peers, service, snapshots, storage } = this.#parts;
    const disk = await readDisk(config.data);
    const stats = service.stats();
    return {
      node: config.node,
      shards: this.#shards(),
      service: stats,
      bounds: this.#bounds(stats),
      peers: peers.stats(),
      log: storage.log.stats(),
      state: storage.state.stats(),
      checkpointsTaken: keeper.checkpointsTaken,
      snapshots: snapshots.counts,
      topics: host.meta().topicCount(),
      disk,
      eventLoop: this.#eventLoop.read(),
    };
  }

  close(): void {
    this.#leaderships.close();
    this.#eventLoop.close();
  }

  #shards(): readonly ShardFigures[] {
    const { host } = this.#parts;
    return host.status().map((status) => ({
      ...status,
      leadership: this.#leaderships.of(status.shard),
      isLeader: host.isReady(status.shard),
    }));
  }

  #bounds(stats: ServiceStats): readonly Bound[] {
    const { config, flush, storage } = this.#parts;
    const { limits, log } = config;
    const bound = (name: string, used: number, limit: number): Bound => ({ name, used, limit });
    const { inflightRequestBytes, longPolls, streams, waitingCalls } = stats;
    return [
      bound('limits.maxInflightRequestBytes', inflightRequestBytes, limits.maxInflightRequestBytes),
      bound('limits.maxWaitingCalls', waitingCalls, limits.maxWaitingCalls),
      bound('limits.maxLongPolls', longPolls, limits.maxLongPolls),
      bound('maxStreams', streams, SERVICE_DEFAULTS.maxStreams),
      bound('log.maxQueuedBytes', storage.log.queuedBytes, log.maxQueuedBytes),
      bound('maxPendingStateBytes', flush.pendingBytes, flush.maxPendingBytes),
    ];
  }
}
