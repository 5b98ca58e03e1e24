/**
 * A network that loses, delays, duplicates, reorders and replays packets, and can be cut link by
 * link and direction by direction.
 */
import type { PeerMessage } from '../../raft/messages.ts';
import type { NodeId } from '../../raft/types.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

export interface NetworkFaults {
  lossRate: number;
  duplicateRate: number;
  /** A packet of long ago arrives once more. */
  replayRate: number;
  delayMaxMs: number;
  /** Some packets are late by much more: they meet another term. */
  straggleRate: number;
}

export type NetworkFaultKind = 'loss' | 'duplicate' | 'replay' | 'straggle';

const STRAGGLE_MAX_MS = 3000;
/** Packets remembered for a replay. */
const MEMORY = 64;

export type Deliver = (from: NodeId, to: NodeId, messages: readonly PeerMessage[]) => void;

interface Packet {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly messages: readonly PeerMessage[];
}

export interface NetworkHost {
  readonly scheduler: Scheduler;
  readonly random: Random;
  deliver: Deliver;
  onFault(kind: NetworkFaultKind): void;
}

export class SimNetwork {
  readonly #host: NetworkHost;
  readonly #cuts = new Set<number>();
  readonly #memory: Packet[] = [];
  #remembered = 0;
  faults: NetworkFaults;
  packets = 0;
  dropped = 0;

  constructor(host: NetworkHost, faults: NetworkFaults) {
    this.#host = host;
    this.faults = faults;
  }

  send(from: NodeId, to: NodeId, messages: readonly PeerMessage[]): void {
    this.packets++;
    if (this.isCut(from, to) || this.#happens(this.faults.lossRate, 'loss')) {
      this.dropped++;
      return;
    }
    const packet = { from, to, messages };
    this.#carry(packet);
    if (this.#happens(this.faults.duplicateRate, 'duplicate')) this.#carry(packet);
    if (this.faults.replayRate > 0) this.#replay(packet);
  }

  #happens(rate: number, kind: NetworkFaultKind): boolean {
    if (rate === 0 || !this.#host.random.chance(rate)) return false;
    this.#host.onFault(kind);
    return true;
  }

  #replay(packet: Packet): void {
    this.#memory[this.#remembered++ % MEMORY] = packet;
    if (this.#happens(this.faults.replayRate, 'replay')) {
      this.#carry(this.#host.random.pick(this.#memory));
    }
  }

  #carry({ from, to, messages }: Packet): void {
    const { random, scheduler } = this.#host;
    const isStraggler = this.#happens(this.faults.straggleRate, 'straggle');
    const maxMs = isStraggler ? STRAGGLE_MAX_MS : this.faults.delayMaxMs;
    scheduler.after(random.next() * maxMs, () => {
      if (!this.isCut(from, to)) this.#host.deliver(from, to, messages);
    });
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(linkOf(from, to));
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(linkOf(from, to));
  }

  heal(): void {
    this.#cuts.clear();
  }
}

/** More than there are nodes. */
const LINKS_PER_NODE = 64;

function linkOf(from: NodeId, to: NodeId): number {
  return from * LINKS_PER_NODE + to;
}
