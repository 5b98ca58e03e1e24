/**
 * Tells the outcome of transactions over several shards to every participant, from the coordinators
 * that this node leads, until each has applied it. At most one batch is under way from one shard to
 * another, so that a participant without a leader keeps nobody else waiting. Woken by applied
 * entries and leadership; after a failure by a timer.
 */

import type { TransactionView } from '../broker/api.ts';
import { encodeCommand } from '../broker/command-codec.ts';
import type { TransactionId } from '../broker/commands.ts';
import { outcomesToTell, type Resolve, resolvedBy } from '../broker/outcomes.ts';
import type { ShownPart } from '../broker/transaction-commands.ts';
import type { Router } from '../router.ts';
import type { ShardHost } from '../shards/api.ts';
import { type Calls, OWN_CALL } from './call.ts';
import { decodeJson, encodeJson } from './internal-methods.ts';
import { shardTarget } from './methods.ts';
import type { ParticipantMethods } from './participants.ts';

/** Outcomes in one call. */
const BATCH_MAX = 256;
const RETRY_MS = 200;
const META_SHARD = 0;
const NO_BYTES = new Uint8Array(0);

export interface PusherParts {
  readonly host: ShardHost;
  readonly router: Router;
  readonly calls: Calls;
  readonly methods: ParticipantMethods;
  readonly callTimeoutMs: number;
}

interface Waiter {
  readonly id: TransactionId;
  readonly done: (resolved: TransactionView | undefined) => void;
}

export class OutcomePusher {
  readonly #parts: PusherParts;
  readonly #unsubscribe: readonly (() => void)[];
  /** `from>to`, both shards. */
  readonly #busy = new Set<string>();
  readonly #waiters = new Map<number, Set<Waiter>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #scheduled = new Set<number>();
  #isStopped = false;

  constructor(parts: PusherParts) {
    this.#parts = parts;
    const { host } = parts;
    this.#unsubscribe = [
      host.onApplied((shard) => this.#schedule(shard)),
      host.onLeadership((shard) => this.#schedule(shard)),
    ];
    for (const shard of host.shards()) this.#schedule(shard);
  }

  close(): void {
    this.#isStopped = true;
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const timer of this.#timers) clearTimeout(timer);
    for (const waiters of this.#waiters.values()) for (const { done } of waiters) done(undefined);
    this.#waiters.clear();
  }

  /**
   * Calls back once all participants have applied the outcome; undefined = not known here any more.
   * Returns how to stop waiting.
   */
  whenResolved(shard: number, id: TransactionId, done: Waiter['done']): () => void {
    const waiter = { id, done };
    const waiters = this.#waiters.get(shard) ?? new Set();
    waiters.add(waiter);
    this.#waiters.set(shard, waiters);
    this.#schedule(shard);
    return () => waiters.delete(waiter);
  }

  /** Many entries are applied in one turn: one look is enough. */
  #schedule(shard: number): void {
    if (shard === META_SHARD || this.#isStopped || this.#scheduled.has(shard)) return;
    this.#scheduled.add(shard);
    setImmediate(() => {
      this.#scheduled.delete(shard);
      if (!this.#isStopped) this.#look(shard);
    });
  }

  #look(shard: number): void {
    const { host } = this.#parts;
    const isReady = host.isReady(shard);
    this.#tellWaiters(shard, isReady);
    if (!isReady) return;
    const isBusy = (to: number) => this.#busy.has(`${shard}>${to}`);
    const batches = outcomesToTell(shard, host.data(shard), isBusy, BATCH_MAX);
    for (const [to, batch] of batches) this.#push(shard, to, batch);
  }

  #tellWaiters(shard: number, isReady: boolean): void {
    for (const waiter of this.#waiters.get(shard) ?? []) {
      const found = isReady ? this.#parts.host.data(shard).coordinated(waiter.id) : undefined;
      if (found !== undefined && found.unresolved.length > 0) continue;
      this.#waiters.get(shard)!.delete(waiter);
      waiter.done(found);
    }
  }

  #push(shard: number, to: number, batch: readonly Resolve[]): void {
    const { calls, callTimeoutMs, methods, router } = this.#parts;
    const way = `${shard}>${to}`;
    this.#busy.add(way);
    const call = calls.open(callTimeoutMs, OWN_CALL, (error, answer) => {
      const shown = error === undefined ? decodeJson<(ShownPart[] | null)[]>(answer!) : [];
      const isWhole = shown.length === batch.length && !shown.includes(null);
      let open = 1;
      const settled = () => {
        open -= 1;
        if (open === 0) this.#rest(shard, way, isWhole);
      };
      shown.forEach((parts, at) => {
        if (parts === null) return;
        open += 1;
        this.#resolved(shard, batch[at]!, to, parts, settled);
      });
      settled();
    });
    const target = shardTarget(to);
    router.route(call, { method: methods.resolve, target, body: encodeJson(batch) }, call.finish);
  }

  #resolved(
    shard: number,
    told: Resolve,
    to: number,
    shown: readonly ShownPart[],
    done: () => void,
  ): void {
    const head = encodeCommand(resolvedBy(to, told, shown));
    this.#parts.host.propose(shard, head, NO_BYTES, 'majorityFsync', done);
  }

  #rest(shard: number, way: string, isWhole: boolean): void {
    if (this.#isStopped) return;
    if (isWhole) {
      this.#busy.delete(way);
      this.#schedule(shard);
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#busy.delete(way);
      this.#schedule(shard);
    }, RETRY_MS);
    this.#timers.add(timer);
  }
}
