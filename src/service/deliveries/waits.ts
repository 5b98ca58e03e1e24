/**
 * Receives that wait on the leader of a shard for something to lease: woken by applied entries, by
 * what falls due, by leadership. A wait takes nothing: whoever was told leases, and may find that
 * another was faster.
 */
import { notLeader } from '../../router.ts';
import type { ShardHost } from '../../shards/api.ts';
import { CallError } from '../../status.ts';
import type { Call, Done } from '../call.ts';
import { decodeJson, encodeJson } from '../internal-methods.ts';
import type { ShardMethod } from '../methods.ts';
import type { LeaseMethod } from './leases.ts';

export interface WaitQuestion {
  readonly group: string;
  readonly queueIds: readonly number[];
  readonly waitMs: number;
}
export interface WaitAnswer {
  readonly isFree: boolean;
}

interface Wait {
  readonly shard: number;
  readonly question: WaitQuestion;
  readonly done: (error: CallError | undefined, isFree: boolean) => void;
  end: NodeJS.Timeout | undefined;
  stopSleep: (() => void) | undefined;
}

/** Shard time may run apart from this clock: look again at the latest after this. */
const MAX_SLEEP_MS = 60_000;
/** What is due "now" by our clock may be due a moment later by the shard's. */
const MIN_SLEEP_MS = 2;
/** Of those that wait for one queue one is told at a time: it may take all that there is. */
const NEXT_MS = 5;

export class DeliveryWaits {
  readonly method: ShardMethod;
  readonly #host: ShardHost;
  readonly #leases: LeaseMethod;
  readonly #max: number;
  readonly #waits = new Map<number, Set<Wait>>();
  readonly #looks = new Map<number, NodeJS.Immediate>();
  readonly #later = new Map<number, NodeJS.Timeout>();
  readonly #unsubscribe: readonly (() => void)[];
  #count = 0;

  constructor(host: ShardHost, leases: LeaseMethod, maxWaits: number) {
    this.#host = host;
    this.#leases = leases;
    this.#max = maxWaits;
    const wake = (shard: number) => this.wake(shard);
    this.#unsubscribe = [host.onApplied(wake), host.onLeadership(wake)];
    this.method = {
      name: '.deliveries/wait',
      kind: 'read',
      perform: (call, { shard }, body, _parsed, done) =>
        this.#begin(call, shard, decodeJson<WaitQuestion>(body), done),
    };
  }

  /** Receives that wait here now. */
  get count(): number {
    return this.#count;
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const look of this.#looks.values()) clearImmediate(look);
    for (const timer of this.#later.values()) clearTimeout(timer);
    for (const waits of this.#waits.values()) for (const wait of waits) this.#end(wait, false);
  }

  /** Something may be free: looked at once per turn, however much there is news of. */
  wake(shard: number): void {
    if (!this.#waits.has(shard) || this.#looks.has(shard)) return;
    const look = setImmediate(() => {
      this.#looks.delete(shard);
      this.#look(shard);
    });
    this.#looks.set(shard, look);
  }

  wakeAll(): void {
    for (const shard of this.#waits.keys()) this.wake(shard);
  }

  #begin(call: Call, shard: number, question: WaitQuestion, done: Done): void {
    const isFree = this.#leases.isFree(shard, question.group, question.queueIds);
    if (isFree || question.waitMs <= 0) {
      done(undefined, encodeJson({ isFree } satisfies WaitAnswer));
      return;
    }
    if (this.#count >= this.#max) {
      done(new CallError('NODE_BUSY', `${this.#count} calls wait on this node`), undefined);
      return;
    }
    const answer = (error: CallError | undefined, found: boolean) => {
      call.abort = undefined;
      if (error !== undefined) done(error, undefined);
      else done(undefined, encodeJson({ isFree: found } satisfies WaitAnswer));
    };
    const wait: Wait = { shard, question, done: answer, end: undefined, stopSleep: undefined };
    wait.end = setTimeout(() => this.#end(wait, false), question.waitMs);
    this.#keep(wait);
    this.#sleep(wait);
    call.waitingFor = 'messages';
    call.abort = () => this.#forget(wait);
  }

  #keep(wait: Wait): void {
    const waits = this.#waits.get(wait.shard);
    if (waits === undefined) this.#waits.set(wait.shard, new Set([wait]));
    else waits.add(wait);
    this.#count += 1;
  }

  #forget(wait: Wait): boolean {
    const waits = this.#waits.get(wait.shard);
    if (waits?.delete(wait) !== true) return false;
    if (waits.size === 0) this.#waits.delete(wait.shard);
    this.#count -= 1;
    clearTimeout(wait.end);
    wait.stopSleep?.();
    return true;
  }

  #end(wait: Wait, isFree: boolean): void {
    if (this.#forget(wait)) wait.done(undefined, isFree);
  }

  #look(shard: number): void {
    const waits = [...(this.#waits.get(shard) ?? [])];
    if (!this.#host.isReady(shard)) {
      for (const wait of waits) {
        if (this.#forget(wait)) wait.done(notLeader(shard, this.#host.leaderOf(shard)), false);
      }
      return;
    }
    const told = new Set<string>();
    for (const wait of waits) {
      const { group, queueIds } = wait.question;
      const name = `${queueIds[0]}:${group}`;
      if (told.has(name)) this.#lookLater(shard);
      else if (this.#leases.isFree(shard, group, queueIds)) {
        told.add(name);
        this.#end(wait, true);
      } else this.#sleep(wait);
    }
  }

  /** Those that were not told, because another was: it may have left something. */
  #lookLater(shard: number): void {
    if (this.#later.has(shard)) return;
    const timer = setTimeout(() => {
      this.#later.delete(shard);
      this.wake(shard);
    }, NEXT_MS);
    this.#later.set(shard, timer);
  }

  #sleep(wait: Wait): void {
    const { deliveries } = this.#host.data(wait.shard);
    let dueAtMs = Number.POSITIVE_INFINITY;
    for (const queueId of wait.question.queueIds) {
      const atMs = deliveries.nextDueAtMs(wait.question.group, queueId);
      if (atMs !== undefined && atMs < dueAtMs) dueAtMs = atMs;
    }
    wait.stopSleep?.();
    wait.stopSleep = undefined;
    if (dueAtMs === Number.POSITIVE_INFINITY) return;
    const leftMs = Math.min(MAX_SLEEP_MS, dueAtMs - this.#host.shardTimeMs(wait.shard));
    const waitMs = Math.max(MIN_SLEEP_MS, leftMs);
    wait.stopSleep = this.#host.startTimer(waitMs, () => this.wake(wait.shard));
  }
}
