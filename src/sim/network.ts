/**
 * A network that loses, delays, duplicates and reorders packets, and can be cut in any direction.
 */
import type { PeerMessage } from '../../raft/messages.ts';
import type { NodeId } from '../../raft/types.ts';
import type { Random } from './random.ts';
import type { Scheduler } from './scheduler.ts';

export interface NetworkFaults {
  lossRate: number;
  duplicateRate: number;
  readonly delayMaxMs: number;
  straggleRate: number;
}

const STRAGGLE_MAX_MS = 3000;

export type Deliver = (from: NodeId, to: NodeId, messages: readonly PeerMessage[]) => void;

export class SimNetwork {
  readonly #scheduler: Scheduler;
  readonly #random: Random;
  readonly #deliver: Deliver;
  readonly #cuts = new Set<string>();
  faults: NetworkFaults;
  packets = 0;
  dropped = 0;

  constructor(scheduler: Scheduler, random: Random, faults: NetworkFaults, deliver: Deliver) {
    this.#scheduler = scheduler;
    this.#random = random;
    this.faults = faults;
    this.#deliver = deliver;
  }

  send(from: NodeId, to: NodeId, messages: readonly PeerMessage[]): void {
    this.packets++;
    if (this.isCut(from, to) || this.#random.chance(this.faults.lossRate)) {
      this.dropped++;
      return;
    }
    this.#carry(from, to, messages);
    if (this.#random.chance(this.faults.duplicateRate)) this.#carry(from, to, messages);
  }

  #carry(from: NodeId, to: NodeId, messages: readonly PeerMessage[]): void {
    const isStraggler = this.#random.chance(this.faults.straggleRate);
    const maxMs = isStraggler ? STRAGGLE_MAX_MS : this.faults.delayMaxMs;
    this.#scheduler.after(this.#random.next() * maxMs, () => {
      if (!this.isCut(from, to)) this.#deliver(from, to, messages);
    });
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#cuts.has(`${from}>${to}`);
  }

  cut(from: NodeId, to: NodeId): void {
    this.#cuts.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cuts.clear();
  }
}
