/**
 * Does what is due in each shard that this node leads: delayed batches are shown, transactions that
 * nobody decided are parked, those whose preparation stopped half way are rolled back, messages
 * whose last lease has ended become dead letters. What is due goes through the log in one entry,
 * and the next entry leaves when that one was applied. Woken by applied entries, by leadership, and
 * by one timer per shard for what falls due next, of whatever kind.
 */
import type { ShardId } from '../../raft/types.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import type { ShardHost } from './api.ts';
import { type FirstDue, firstDue } from './due-sources.ts';

/** Shard time may run apart from this clock: look again at the latest after this. */
const MAX_SLEEP_MS = 60_000;
/** After an entry whose fate is not known, or that found no room. */
const RETRY_MS = 100;
const META_SHARD = 0;
const NO_BYTES = new Uint8Array(0);

type SweptHost = Pick<
  ShardHost,
  | 'data'
  | 'isReady'
  | 'onApplied'
  | 'onLeadership'
  | 'propose'
  | 'shards'
  | 'shardTimeMs'
  | 'startTimer'
>;

interface Sleep {
  readonly cancel: () => void;
  /** Shard time. */
  readonly untilMs: number;
}

export class DueSweeper {
  readonly #host: SweptHost;
  readonly #unsubscribe: readonly (() => void)[];
  readonly #asleep = new Map<ShardId, Sleep>();
  /** An entry of ours is on its way. */
  readonly #busy = new Set<ShardId>();
  #isStopped = false;

  constructor(host: SweptHost) {
    this.#host = host;
    const look = (shard: ShardId) => this.#look(shard);
    this.#unsubscribe = [host.onApplied(look), host.onLeadership(look)];
    // A shard that is led already, and quiet, would tell nothing.
    for (const shard of host.shards()) look(shard);
  }

  stop(): void {
    this.#isStopped = true;
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const shard of [...this.#asleep.keys()]) this.#wake(shard);
  }

  #look(shard: ShardId): void {
    if (shard === META_SHARD || this.#isStopped || this.#busy.has(shard)) return;
    if (!this.#host.isReady(shard)) {
      this.#wake(shard);
      return;
    }
    const first = firstDue(this.#host.data(shard));
    if (first === undefined) return;
    const nowMs = this.#host.shardTimeMs(shard);
    if (first.atMs <= nowMs) this.#sweep(shard, first, nowMs);
    else this.#sleep(shard, first.atMs, nowMs);
  }

  #sleep(shard: ShardId, untilMs: number, nowMs: number): void {
    const asleep = this.#asleep.get(shard);
    if (asleep !== undefined && asleep.untilMs <= untilMs) return;
    this.#wake(shard);
    this.#timer(shard, untilMs, Math.min(MAX_SLEEP_MS, untilMs - nowMs));
  }

  #timer(shard: ShardId, untilMs: number, waitMs: number): void {
    const cancel = this.#host.startTimer(waitMs, () => {
      this.#asleep.delete(shard);
      this.#look(shard);
    });
    this.#asleep.set(shard, { cancel, untilMs });
  }

  #wake(shard: ShardId): void {
    this.#asleep.get(shard)?.cancel();
    this.#asleep.delete(shard);
  }

  #sweep(shard: ShardId, due: FirstDue, nowMs: number): void {
    this.#wake(shard);
    this.#busy.add(shard);
    const head = encodeCommand(due.command(nowMs));
    this.#host.propose(shard, head, NO_BYTES, 'majorityFsync', ({ status }) => {
      this.#busy.delete(shard);
      if (this.#isStopped || status === 'notLeader') return;
      if (status === 'applied') this.#look(shard);
      else this.#timer(shard, nowMs, RETRY_MS);
    });
  }
}
