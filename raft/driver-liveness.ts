/**
 * Which nodes give signs of life. Quiet shards have no heartbeats of their own: what their members'
 * nodes say to each other, about anything, stands for all of them.
 */
import type { RaftConfig } from './config.ts';
import type { Outbox } from './driver-outbox.ts';
import type { ShardRunner } from './driver-shard.ts';
import { nextHeartbeatAt } from './heartbeat.ts';
import { WallClocks } from './shard-time.ts';
import type { Instant } from './state.ts';
import type { MonotonicMs, NodeId, ShardTimeMs } from './types.ts';

export interface SilentNode {
  readonly node: NodeId;
  /** When it was last heard of. */
  readonly heardMs: MonotonicMs;
}

export class NodeLiveness {
  readonly #node: NodeId;
  readonly #config: Pick<RaftConfig, 'electionTimeoutMs' | 'heartbeatIntervalMs'>;
  /** A node that is silent may have any time by now. */
  readonly clocks: WallClocks;
  readonly #heardMs = new Map<NodeId, MonotonicMs>();
  readonly #silent = new Set<NodeId>();
  /** Nodes that are to get a sign of life with this flush. */
  #due: ReadonlySet<NodeId> = new Set();
  #dueAtMs: MonotonicMs = Number.POSITIVE_INFINITY;

  constructor(node: NodeId, config: Pick<RaftConfig, 'electionTimeoutMs' | 'heartbeatIntervalMs'>) {
    this.#node = node;
    this.#config = config;
    this.clocks = new WallClocks(config.electionTimeoutMs);
  }

  /** When this node next says that it lives, and looks who else does. */
  get dueAtMs(): MonotonicMs {
    return this.#dueAtMs;
  }

  start(nowMs: MonotonicMs): void {
    this.#dueAtMs = nextHeartbeatAt(nowMs, this.#config.heartbeatIntervalMs);
  }

  /** True: it had been silent. */
  heard(node: NodeId, nowMs: MonotonicMs): boolean {
    this.#heardMs.set(node, nowMs);
    return this.#silent.delete(node);
  }

  /** When it is due: which nodes of these shards fell silent since the last time. */
  tick({ nowMs }: Instant, shards: Iterable<ShardRunner>): readonly SilentNode[] {
    if (nowMs < this.#dueAtMs) return [];
    this.start(nowMs);
    const nodes = new Set<NodeId>();
    for (const { core } of shards) {
      for (const { node } of core.currentMembership.replicas) nodes.add(node);
    }
    nodes.delete(this.#node);
    this.#due = nodes;
    return this.newlySilent(nodes, nowMs);
  }

  /** With all other messages of the flush: nothing else tells of this node's clock. */
  speak(outbox: Outbox, wallMs: ShardTimeMs): void {
    for (const node of this.#due) outbox.add(node, { type: 'alive', wallMs });
    this.#due = new Set();
  }

  newlySilent(nodes: ReadonlySet<NodeId>, nowMs: MonotonicMs): readonly SilentNode[] {
    const found: SilentNode[] = [];
    for (const node of nodes) {
      const heardMs = this.#heardMs.get(node);
      // Never heard of: counts from the first time that anybody asks.
      if (heardMs === undefined) this.#heardMs.set(node, nowMs);
      else if (nowMs - heardMs >= this.#config.electionTimeoutMs && !this.#silent.has(node)) {
        this.#silent.add(node);
        found.push({ node, heardMs });
      }
    }
    return found;
  }
}
