/**
 * A network that loses, delays, duplicates, reorders and replays packets, and can be cut link by
 * link and direction by direction.
 */
import type { PeerMessage } from '../../raft/messages.ts';
import type { NodeId } from '../../raft/types.ts';
import { expect } from './failure.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';
import type { Wire } from './wire.ts';

export interface NetworkFaults {
  lossRate: number;
  duplicateRate: number;
  /** A packet of long ago arrives once more. */
  replayRate: number;
  delayMaxMs: number;
  /** Some packets are late by much more: they meet another term. */
  straggleRate: number;
  /** A bit turns over on the way. Only bytes have bits. */
  garbleRate: number;
}

export type NetworkFaultKind = 'loss' | 'duplicate' | 'replay' | 'straggle' | 'garble';

const STRAGGLE_MAX_MS = 3000;
/** Packets remembered for a replay. */
const MEMORY = 64;

export type Deliver = (from: NodeId, to: NodeId, messages: readonly PeerMessage[]) => void;

interface Packet {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly content: readonly PeerMessage[] | Buffer;
}

export interface NetworkHost {
  readonly scheduler: Scheduler;
  readonly random: Random;
  deliver: Deliver;
  /** The reader found what no peer sends. */
  onBroken(from: NodeId, to: NodeId): void;
  onFault(kind: NetworkFaultKind): void;
}

export class SimNetwork {
  readonly #host: NetworkHost;
  readonly #wire: Wire | undefined;
  readonly #cuts = new Set<number>();
  readonly #memory: Packet[] = [];
  #remembered = 0;
  faults: NetworkFaults;
  packets = 0;
  dropped = 0;

  /** `wire`: packets are bytes; without it they are the messages themselves, which is faster. */
  constructor(host: NetworkHost, faults: NetworkFaults, wire: Wire | undefined) {
    this.#host = host;
    this.faults = faults;
    this.#wire = wire;
  }

  send(from: NodeId, to: NodeId, messages: readonly PeerMessage[]): void {
    this.packets++;
    if (this.isCut(from, to) || this.#happens(this.faults.lossRate, 'loss')) {
      this.dropped++;
      return;
    }
    const packet = { from, to, content: this.#wire?.write(messages) ?? messages };
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

  #carry(packet: Packet): void {
    const { from, to } = packet;
    const { random, scheduler } = this.#host;
    const isStraggler = this.#happens(this.faults.straggleRate, 'straggle');
    const maxMs = isStraggler ? STRAGGLE_MAX_MS : this.faults.delayMaxMs;
    scheduler.after(random.next() * maxMs, () => {
      if (!this.isCut(from, to)) this.#arrive(packet);
    });
  }

  #arrive({ from, to, content }: Packet): void {
    const wire = this.#wire;
    if (wire === undefined || !Buffer.isBuffer(content)) {
      this.#host.deliver(from, to, content as readonly PeerMessage[]);
      return;
    }
    const isGarbled = this.#happens(this.faults.garbleRate, 'garble');
    const { messages, isBroken } = wire.read(isGarbled ? wire.garble(content) : content);
    expect(isBroken === isGarbled, 'frames-read', () => `garbled ${isGarbled}, not ${isBroken}`);
    if (messages.length > 0) this.#host.deliver(from, to, messages);
    if (isBroken) this.#host.onBroken(from, to);
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
