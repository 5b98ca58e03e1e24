/**
 * Receivers of messages one by one: they lease, acknowledge, give back, extend, die, and some of
 * the dead come late, with a token of the past. What is offered to them is what a leader sees, or
 * less than that would allow; what they get is decided when it is applied.
 */
import type { ShardId } from '../../../raft/types.ts';
import type { Command, QueueId } from '../../broker/commands.ts';
import type { FreshMessage, Settled, SettleItem, Verdict } from '../../broker/delivery-commands.ts';
import type { SimNode } from '../node.ts';
import type { Reply, Session } from './session.ts';

const CONSUMERS = 3;
const LEASED_MAX = 3;
const LEASE_MIN_MS = 100;
const LEASE_MAX_MS = 900;
const NACK_MAX_MS = 300;
const LATE_MS = 2500;
const BACKOFF_MAX_MS = 300;
const TRIES = 3;
const KEYS = 3;
const WRONG_SHARE = 0.1;
const LOST_SHARE = 0.05;
/** Every so many messages nobody can work with. */
const POISONED_EACH = 3;
const POISONED_SHARE = 0.9;
const POISONED_MAX_MS = 100;

const UNWANTED_EACH = 4;
const FILTER = { type: 1, expression: 'wanted' };

type Lease = Extract<Command, { type: 'lease' }>;

export class Receivers {
  readonly #session: Session;
  readonly #shard: ShardId;
  readonly #queueId: QueueId;
  readonly #fifo: boolean;
  readonly #group: string;

  constructor(session: Session, shard: ShardId, queueId: QueueId, fifo: boolean) {
    this.#session = session;
    this.#shard = shard;
    this.#queueId = queueId;
    this.#fifo = fifo;
    this.#group = fifo ? 'line' : 'workers';
  }

  act(): void {
    const drawn = this.#session.random.next();
    if (drawn < 0.84) this.#lease();
    else if (drawn < 0.96) this.#settleDead();
    else if (drawn < 0.99) this.#seek();
    else this.#unsubscribe();
  }

  get #name() {
    return { group: this.#group, queueId: this.#queueId };
  }

  #lease(): void {
    const { random } = this.#session;
    const target = this.#session.target(this.#shard);
    const { machine } = target;
    if (target.driver === undefined || !machine.life.machine.holds(this.#shard)) return;
    const command = this.#offer(target);
    const done = (reply: Reply): void => {
      if (reply.status !== 'applied' || reply.result.type !== 'given') return;
      const { messages, token } = reply.result;
      const { coverage } = this.#session.cluster.judge;
      const offered = command.again.length + command.fresh.length;
      if (this.#fifo && messages.length < offered) coverage.reach('key held up in its order');
      for (const { attempt, offset } of messages) {
        if (attempt > 1) coverage.reach('message given again');
        this.#work(offset, token, command.leaseMs);
      }
    };
    const isLost = random.chance(LOST_SHARE);
    this.#session.request(this.#shard, { command }, isLost ? () => {} : done, target);
  }

  #offer({ driver, machine }: SimNode): Lease {
    const { random } = this.#session;
    const data = machine.data(this.#shard);
    const { group, queueId } = this.#name;
    const { startOffset = 0, endOffset = 0 } = data.queue(queueId) ?? {};
    const known = data.deliveries.subscription(group, queueId);
    if (known !== undefined && known.deadRefused > 0) {
      this.#session.cluster.judge.coverage.reach('no room for a dead letter');
    }
    const nowMs = driver!.holds(this.#shard) ? driver!.shardTimeMs(this.#shard) : 0;
    const due = data.deliveries.due(group, queueId, nowMs, LEASED_MAX);
    const wrong = random.chance(WRONG_SHARE) ? [...data.deliveries.pending(group, queueId)] : [];
    const again = new Set([...due, ...wrong.slice(0, LEASED_MAX)].map(({ offset }) => offset));
    const fromOffset = known === undefined ? random.between(startOffset, endOffset) : undefined;
    const freshOffset = Math.max(known?.cursor ?? fromOffset ?? 0, startOffset);
    const room = Math.min(endOffset - freshOffset, random.between(0, LEASED_MAX));
    const looked = Array.from({ length: Math.max(0, room) }, (_, at) => freshOffset + at);
    const wanted = looked.filter((offset) => this.#isWanted(offset));
    const fresh = wanted.map((offset) => this.#message(offset));
    const end = freshOffset + looked.length;
    const passed = gapsBetween(freshOffset, wanted, end);
    if (passed.some((count) => count > 0)) {
      this.#session.cluster.judge.coverage.reach('message passed over by a filter');
    }
    return {
      ...{ type: 'lease', group, queueId, fifo: this.#fifo, fromOffset },
      consumer: `consumer-${random.between(1, CONSUMERS)}`,
      leaseMs: random.between(LEASE_MIN_MS, LEASE_MAX_MS),
      ...{ again: [...again], freshOffset, fresh },
      selection: this.#fifo ? { filter: FILTER, passed } : undefined,
    };
  }

  /** The group in line has a filter. */
  #isWanted(offset: number): boolean {
    return !this.#fifo || offset % UNWANTED_EACH !== 0;
  }

  #message(offset: number): FreshMessage {
    const row = this.#session.cluster.judge.ledger.rowAt(this.#queueId, offset);
    const { baseOffset, index, storedAtMs, term } = row;
    const at = { term, index };
    // 0 = it has none.
    const keyHash = this.#fifo ? (offset * 5) % (KEYS + 1) : 0;
    return { at, position: offset - baseOffset, firstIndex: index, storedAtMs, keyHash };
  }

  #work(offset: number, token: number, leaseMs: number): void {
    const { random } = this.#session;
    const drawn = random.next();
    const tell = (withinMs: number, verdict: Verdict): void => {
      this.#session.after(withinMs, () => this.#settle({ offset, token, verdict }, TRIES));
    };
    const isPoisoned = offset % POISONED_EACH === 1 && random.chance(POISONED_SHARE);
    if (isPoisoned) tell(POISONED_MAX_MS, { type: 'nack', delayMs: 0 });
    else if (drawn < 0.4) tell(leaseMs, { type: 'ack' });
    else if (drawn < 0.6) {
      tell(leaseMs, { type: 'nack', delayMs: random.between(0, NACK_MAX_MS) });
    } else if (drawn < 0.7) {
      tell(leaseMs, { type: 'extend', extendMs: random.between(LEASE_MIN_MS, LEASE_MAX_MS) });
      tell(2 * leaseMs, { type: 'ack' });
    } else if (drawn < 0.75) tell(leaseMs, { type: 'release' });
    else if (drawn < 0.85) tell(LATE_MS, { type: random.chance(0.7) ? 'ack' : 'release' });
  }

  #settle(item: SettleItem, tries: number): void {
    if (this.#session.isStopped) return;
    const command: Command = { type: 'settle', ...this.#name, items: [item] };
    this.#session.request(this.#shard, { command }, (reply) => {
      if (reply.status === 'applied') this.#settled(item, reply);
      else if (tries > 1) {
        this.#session.after(BACKOFF_MAX_MS, () => this.#settle(item, tries - 1));
      }
    });
  }

  #settled({ verdict }: SettleItem, reply: Extract<Reply, { status: 'applied' }>): void {
    if (reply.result.type !== 'settled') return;
    const { coverage } = this.#session.cluster.judge;
    const { isDead, status } = reply.result.items[0] as Settled;
    if (status === 'stale') coverage.reach('stale token refused');
    if (status !== 'ok') return;
    if (verdict.type === 'ack') coverage.reach('delivery acknowledged');
    if (verdict.type !== 'nack') return;
    coverage.reach(isDead === true ? 'last attempt given back' : 'delivery given back');
    // Whoever is not done with one goes on at once, else few would come to their last attempt.
    const next = () => (isDead === true ? this.#settleDead() : this.#lease());
    this.#session.after(2 * NACK_MAX_MS, () => {
      if (!this.#session.isStopped) next();
    });
  }

  /** By somebody who looked at the dead letters. */
  #settleDead(): void {
    const { random } = this.#session;
    const { machine } = this.#session.target(this.#shard);
    if (!machine.isOpen || !machine.life.machine.holds(this.#shard)) return;
    const { group, queueId } = this.#name;
    const { deliveries } = machine.data(this.#shard);
    const letters = deliveries.deadLetters(group, queueId, 0, LEASED_MAX);
    if (letters.length === 0) return;
    const offsets = letters.map(({ offset }) => offset);
    const action = random.chance(0.5) ? 'resend' : 'purge';
    const command: Command = { type: 'settleDead', group, queueId, action, offsets };
    this.#session.request(this.#shard, { command }, (reply) => {
      if (reply.status !== 'applied' || reply.result.type !== 'deadSettled') return;
      if (action !== 'resend' || reply.result.count === 0) return;
      this.#session.cluster.judge.coverage.reach('dead letter sent again');
    });
  }

  #seek(): void {
    const { random } = this.#session;
    const { machine } = this.#session.target(this.#shard);
    if (!machine.isOpen || !machine.life.machine.holds(this.#shard)) return;
    const { endOffset = 0 } = machine.data(this.#shard).queue(this.#queueId) ?? {};
    const offset = random.between(0, endOffset);
    const command: Command = { type: 'seekSubscription', ...this.#name, offset };
    this.#session.request(this.#shard, { command }, (reply) => {
      if (reply.status !== 'applied' || reply.result.type !== 'sought') return;
      this.#session.cluster.judge.coverage.reach('subscription moved');
    });
  }

  #unsubscribe(): void {
    const command: Command = { type: 'unsubscribe', ...this.#name };
    this.#session.request(this.#shard, { command }, () => {});
  }
}

/** How many offsets lie before each of `wanted`, and after the last up to `end`. */
function gapsBetween(start: number, wanted: readonly number[], end: number): number[] {
  const from = [start, ...wanted.map((offset) => offset + 1)];
  return [...wanted, end].map((offset, at) => offset - from[at]!);
}
