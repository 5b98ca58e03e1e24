/**
 * Asks coordinators about parts and offsets that are held here for long: for what the shards here
 * did not hear of. Nothing is decided here. One timer per shard, only while something is held.
 */
import { encodeCommand } from '../broker/command-codec.ts';
import { outcomesToAsk, type Resolve } from '../broker/outcomes.ts';
import type { GlobalTransactionId } from '../broker/transaction-commands.ts';
import { ASK_AFTER_MS } from '../broker/transaction-commands.ts';
import { OWN_CALL } from './call.ts';
import { decodeJson, encodeJson } from './internal-methods.ts';
import { shardTarget } from './methods.ts';
import type { PusherParts } from './outcome-pusher.ts';
import type { OutcomesQuestion } from './participants.ts';

const ASK_AGAIN_MS = 30_000;
/** Shard time may stand still where this clock does not. */
const MIN_SLEEP_MS = 10;
const BATCH_MAX = 256;
const META_SHARD = 0;
const NO_BYTES = new Uint8Array(0);

interface Sleep {
  readonly cancel: () => void;
  /** What is due was asked about: not again before this is over. */
  readonly hasAsked: boolean;
}

export class OutcomeAsker {
  readonly #parts: PusherParts;
  readonly #unsubscribe: readonly (() => void)[];
  readonly #asleep = new Map<number, Sleep>();
  #isStopped = false;

  constructor(parts: PusherParts) {
    this.#parts = parts;
    const look = (shard: number) => this.#look(shard);
    this.#unsubscribe = [parts.host.onApplied(look), parts.host.onLeadership(look)];
    for (const shard of parts.host.shards()) look(shard);
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#isStopped = true;
    for (const { cancel } of this.#asleep.values()) cancel();
  }

  #look(shard: number): void {
    const { host } = this.#parts;
    const asleep = this.#asleep.get(shard);
    if (shard === META_SHARD || asleep?.hasAsked === true || !host.isReady(shard)) return;
    const oldestMs = host.data(shard).oldestHeldAtMs();
    if (oldestMs === undefined) return;
    const leftMs = oldestMs + ASK_AFTER_MS - host.shardTimeMs(shard);
    if (asleep === undefined || leftMs <= 0) {
      this.#sleep(shard, Math.max(MIN_SLEEP_MS, leftMs), false);
    }
  }

  #sleep(shard: number, waitMs: number, hasAsked: boolean): void {
    this.#asleep.get(shard)?.cancel();
    const wake = () => {
      this.#asleep.delete(shard);
      this.#askAll(shard);
    };
    const cancel = this.#parts.host.startTimer(waitMs, wake);
    this.#asleep.set(shard, { cancel, hasAsked });
  }

  #askAll(shard: number): void {
    const { host } = this.#parts;
    if (!host.isReady(shard)) return;
    const sinceMs = host.shardTimeMs(shard) - ASK_AFTER_MS;
    const asked = outcomesToAsk(host.data(shard), sinceMs);
    if (asked.size === 0) {
      this.#look(shard);
      return;
    }
    for (const [coordinator, ids] of asked) this.#ask(shard, coordinator, ids);
    this.#sleep(shard, ASK_AGAIN_MS, true);
  }

  /** One batch after the other. */
  #ask(shard: number, coordinator: number, ids: readonly GlobalTransactionId[]): void {
    const { calls, methods, router } = this.#parts;
    const question: OutcomesQuestion = { shard, transactions: ids.slice(0, BATCH_MAX) };
    const call = calls.open(ASK_AGAIN_MS, OWN_CALL, (error, answer) => {
      if (error !== undefined || this.#isStopped) return;
      for (const command of decodeJson<(Resolve | null)[]>(answer!)) {
        if (command !== null) this.#resolve(shard, command);
      }
      const rest = ids.slice(BATCH_MAX);
      if (rest.length > 0) this.#ask(shard, coordinator, rest);
    });
    const target = shardTarget(coordinator);
    const routed = { method: methods.outcomes, target, body: encodeJson(question) };
    router.route(call, routed, call.finish);
  }

  #resolve(shard: number, command: Resolve): void {
    const head = encodeCommand(command);
    // What fails is asked about again.
    this.#parts.host.propose(shard, head, NO_BYTES, 'majorityFsync', () => {});
  }
}
