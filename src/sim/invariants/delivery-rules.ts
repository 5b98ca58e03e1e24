/**
 * Per-message consumption, told from the log alone: one holder per message and group at a time,
 * who alone may settle it; what is not acknowledged is pending or dead, and comes again, each time
 * as the next attempt; in FIFO mode no message of a key comes while an earlier one is undecided.
 */
import type { Entry, LogIndex, ShardId, ShardTimeMs } from '../../../raft/types.ts';
import type { DataShard } from '../../broker/api.ts';
import type { ApplyResult, Command, QueueId } from '../../broker/commands.ts';
import type { LeasedMessage, Settled, SettleItem } from '../../broker/delivery-commands.ts';
import { NO_ROOM_WAIT_MS, retryAfterMs } from '../../broker/retry-levels.ts';
import { expect } from '../failure.ts';
import { SIM_LIMITS } from '../limits.ts';

type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;

/** What never changes but by a copy of its bytes. */
interface Body {
  readonly keyHash: number;
  at: LogIndex;
}

interface Message extends Body {
  attempt: number;
  isLeased: boolean;
  token: LogIndex;
  dueAtMs: ShardTimeMs;
}

interface Consumed {
  readonly fifo: boolean;
  /** undefined = none. */
  readonly filter: string | undefined;
  cursor: number;
  /** By offset, in the order in which they became pending. */
  readonly pending: Map<number, Message>;
  /** By offset. */
  readonly dead: Map<number, Body>;
}

/** What is known of queues. */
export interface QueueEnds {
  startOf(queueId: QueueId): number;
  endOf(queueId: QueueId): number;
}

const { maxDeadLetters, maxDeliveryAttempts } = SIM_LIMITS;

export class DeliveryRules {
  readonly #queues: QueueEnds;
  /** Per shard, by `queueId:group`. */
  readonly #shards = new Map<ShardId, Map<string, Consumed>>();
  /** Nothing may be held at or below it. */
  readonly #floors = new Map<ShardId, LogIndex>();

  constructor(queues: QueueEnds) {
    this.#queues = queues;
  }

  applied(shard: ShardId, entry: Entry, command: Command, result: ApplyResult): void {
    if (result.type === 'refused') return;
    switch (command.type) {
      case 'lease':
        this.#leased(shard, entry, command, result);
        break;
      case 'settle':
        this.#settled(shard, entry, command, result);
        break;
      case 'expire':
        this.#expired(shard, entry, command, result);
        break;
      case 'seekSubscription':
        this.#sought(shard, command, result);
        break;
      case 'settleDead':
        this.#deadSettled(shard, entry, command, result);
        break;
      case 'unsubscribe':
        this.#of(shard).delete(nameOf(command));
        break;
      case 'closeQueue':
        this.#closed(shard, command.queueId);
        break;
      case 'copy':
        if (command.owner === 'delivery' && result.type === 'copied' && result.moved) {
          this.#copied(shard, command.from.index, entry.index);
        }
        break;
      case 'trim':
        if (result.type === 'trimmed') this.#trimmed(shard, result.logTrim);
        break;
      default:
    }
  }

  #of(shard: ShardId): Map<string, Consumed> {
    let found = this.#shards.get(shard);
    if (found === undefined) {
      found = new Map();
      this.#shards.set(shard, found);
    }
    return found;
  }

  #closed(shard: ShardId, queueId: QueueId): void {
    const known = this.#of(shard);
    for (const name of [...known.keys()]) if (name.startsWith(`${queueId}:`)) known.delete(name);
  }

  *#bodies(shard: ShardId): Generator<Body> {
    for (const { dead, pending } of this.#of(shard).values()) {
      yield* pending.values();
      yield* dead.values();
    }
  }

  #copied(shard: ShardId, from: LogIndex, to: LogIndex): void {
    for (const body of this.#bodies(shard)) if (body.at === from) body.at = to;
  }

  #trimmed(shard: ShardId, logTrim: LogIndex): void {
    this.#floors.set(shard, Math.max(logTrim, this.#floors.get(shard) ?? 0));
    for (const { at } of this.#bodies(shard)) {
      const what = () => `shard ${shard}: the log may go to ${logTrim}, what lies at ${at} waits`;
      expect(at > logTrim, 'delivery-body-kept', what);
    }
  }

  #leased(shard: ShardId, entry: Entry, command: CommandOf<'lease'>, result: ApplyResult): void {
    if (result.type !== 'given') return;
    const where = `shard ${shard}: entry ${entry.index}, ${nameOf(command)}`;
    expect(result.token === entry.index, 'delivery-token', () => `${where}: ${result.token}`);
    const consumed = this.#subscribed(shard, command);
    const asked = command.selection?.filter.expression;
    const what = () => `${where}: ${asked}, subscribed with ${consumed.filter}`;
    expect(asked === consumed.filter, 'delivery-filter', what);
    const told = new Map(result.messages.map((message) => [message.offset, message]));
    for (const offset of command.again) this.#give(consumed, offset, entry, command, told, where);
    this.#giveFresh(shard, consumed, entry, command, told, where);
    expect(told.size === 0, 'delivery-decided', () => `${where}: ${[...told.keys()]}`);
  }

  #subscribed(shard: ShardId, command: CommandOf<'lease'>): Consumed {
    const { fifo, fromOffset = 0, queueId } = command;
    const known = this.#of(shard).get(nameOf(command));
    if (known !== undefined) return known;
    const cursor = Math.min(fromOffset, this.#queues.endOf(queueId));
    const filter = command.selection?.filter.expression;
    const consumed = { fifo, filter, cursor, pending: new Map(), dead: new Map() };
    this.#of(shard).set(nameOf(command), consumed);
    return consumed;
  }

  #giveFresh(
    shard: ShardId,
    consumed: Consumed,
    entry: Entry,
    command: CommandOf<'lease'>,
    told: Map<number, LeasedMessage>,
    where: string,
  ): void {
    const { fresh, freshOffset, queueId, selection } = command;
    const end = this.#queues.endOf(queueId);
    consumed.cursor = Math.max(consumed.cursor, this.#queues.startOf(queueId));
    let offset = freshOffset;
    for (const [place, message] of [...fresh, undefined].entries()) {
      const passed = selection?.passed[place] ?? 0;
      passOver(consumed, offset, Math.min(offset + passed, end));
      offset += passed;
      const isThere = message !== undefined && message.at.index > (this.#floors.get(shard) ?? 0);
      if (isThere && offset === consumed.cursor && offset < end) {
        consumed.cursor += 1;
        if (!consumed.pending.has(offset)) {
          const { at, keyHash } = message;
          consumed.pending.set(offset, newMessage({ keyHash, at: at.index }, entry));
          this.#give(consumed, offset, entry, command, told, where);
        }
      }
      offset += 1;
    }
  }

  /** Exactly what is free is given. */
  #give(
    consumed: Consumed,
    offset: number,
    { index, timeMs }: Entry,
    { leaseMs }: CommandOf<'lease'>,
    told: Map<number, LeasedMessage>,
    where: string,
  ): void {
    const given = told.get(offset);
    const problem = problemOf(consumed, offset, timeMs);
    const what = () => `${where}: offset ${offset}: ${JSON.stringify(given)}`;
    expect(problem === undefined || given === undefined, problem ?? '', what);
    if (problem !== undefined) return;
    expect(given !== undefined, 'delivery-withheld', what);
    const one = consumed.pending.get(offset)!;
    Object.assign(one, { isLeased: true, token: index, dueAtMs: timeMs + leaseMs });
    one.attempt += 1;
    expect(given!.attempt === one.attempt, 'delivery-attempt', what);
    told.delete(offset);
  }

  #settled(
    shard: ShardId,
    { index, timeMs }: Entry,
    command: CommandOf<'settle'>,
    result: ApplyResult,
  ): void {
    const consumed = this.#of(shard).get(nameOf(command));
    if (result.type !== 'settled' || consumed === undefined) return;
    for (const [at, item] of command.items.entries()) {
      const told = result.items[at]!;
      const expected = this.#settle(shard, consumed, item, timeMs);
      const isSame =
        told.status === expected.status &&
        told.dueAtMs === expected.dueAtMs &&
        told.isDead === expected.isDead;
      const what = JSON.stringify([item, told, expected]);
      const name = `shard ${shard}: entry ${index}, ${nameOf(command)}`;
      const isStale = expected.status === 'stale' && told.status === 'ok';
      expect(!isStale, 'delivery-stale-token', () => `${name}: ${what}`);
      expect(isSame, 'delivery-settled', () => `${name}: ${what}`);
    }
  }

  #settle(shard: ShardId, consumed: Consumed, item: SettleItem, nowMs: number): Settled {
    const { offset, token, verdict } = item;
    const one = consumed.pending.get(offset);
    if (one === undefined) {
      if (consumed.dead.has(offset)) return { status: 'dead' };
      return { status: offset < consumed.cursor ? 'decided' : 'stale' };
    }
    if (one.token !== token) return { status: 'stale' };
    if (!one.isLeased) return { status: 'notLeased' };
    switch (verdict.type) {
      case 'ack':
        consumed.pending.delete(offset);
        return { status: 'ok' };
      case 'release':
        Object.assign(one, { isLeased: false, attempt: one.attempt - 1, dueAtMs: nowMs });
        return { status: 'ok' };
      case 'extend':
        one.dueAtMs = nowMs + verdict.extendMs;
        return { status: 'ok', dueAtMs: one.dueAtMs };
      case 'nack':
        if (one.attempt >= maxDeliveryAttempts) return this.#bury(shard, consumed, offset, nowMs);
        one.isLeased = false;
        one.dueAtMs = nowMs + (verdict.delayMs ?? retryAfterMs(one.attempt));
        return { status: 'ok', dueAtMs: one.dueAtMs };
    }
  }

  /** Where there is no room it goes on waiting. */
  #bury(shard: ShardId, consumed: Consumed, offset: number, nowMs: number): Settled {
    const one = consumed.pending.get(offset)!;
    let dead = 0;
    for (const { dead: letters } of this.#of(shard).values()) dead += letters.size;
    if (dead >= maxDeadLetters && !consumed.dead.has(offset)) {
      one.isLeased = false;
      one.dueAtMs = nowMs + NO_ROOM_WAIT_MS;
      return { status: 'ok', dueAtMs: one.dueAtMs };
    }
    consumed.pending.delete(offset);
    consumed.dead.set(offset, { keyHash: one.keyHash, at: one.at });
    return { status: 'ok', isDead: true };
  }

  #expired(
    shard: ShardId,
    { index, timeMs }: Entry,
    { deliveries }: CommandOf<'expire'>,
    result: ApplyResult,
  ): void {
    let buried = 0;
    for (const name of deliveries) {
      const consumed = this.#of(shard).get(nameOf(name));
      const one = consumed?.pending.get(name.offset);
      if (consumed === undefined || one === undefined) continue;
      if (one.attempt < maxDeliveryAttempts || one.dueAtMs > timeMs) continue;
      if (this.#bury(shard, consumed, name.offset, timeMs).isDead === true) buried += 1;
    }
    const isRight = result.type === 'buried' && result.count === buried;
    const what = () => `shard ${shard}: entry ${index}: ${JSON.stringify(result)}, not ${buried}`;
    expect(isRight, 'delivery-buried', what);
  }

  #sought(shard: ShardId, command: CommandOf<'seekSubscription'>, result: ApplyResult): void {
    const consumed = this.#of(shard).get(nameOf(command));
    if (result.type !== 'sought' || consumed === undefined) return;
    consumed.pending.clear();
    consumed.cursor = Math.min(command.offset, this.#queues.endOf(command.queueId));
    const what = () => `shard ${shard}: ${nameOf(command)} ${result.cursor}, ${consumed.cursor}`;
    expect(result.cursor === consumed.cursor, 'delivery-sought', what);
  }

  #deadSettled(
    shard: ShardId,
    entry: Entry,
    command: CommandOf<'settleDead'>,
    result: ApplyResult,
  ): void {
    const consumed = this.#of(shard).get(nameOf(command));
    if (result.type !== 'deadSettled' || consumed === undefined) return;
    let count = 0;
    for (const offset of command.offsets.toSorted((a, b) => a - b)) {
      const letter = consumed.dead.get(offset);
      if (letter === undefined) continue;
      count += 1;
      consumed.dead.delete(offset);
      const first = Math.max(consumed.cursor, this.#queues.startOf(command.queueId));
      const isAhead = offset >= first || consumed.pending.has(offset);
      if (command.action === 'resend' && !isAhead) {
        consumed.pending.set(offset, newMessage(letter, entry));
      }
    }
    const what = () => `shard ${shard}: ${nameOf(command)}: ${result.count}, not ${count}`;
    expect(result.count === count, 'dead-settled', what);
  }

  /** Of a replica that has applied everything; the log before `logTrim` may be gone. */
  expectState(shard: ShardId, { deliveries }: DataShard, logTrim: LogIndex): void {
    const found = new Map<string, string>();
    for (const { group, queueId, cursor } of deliveries.subscriptions()) {
      const pending = [...deliveries.pending(group, queueId)];
      const dead = deliveries.deadLetters(group, queueId, 0, Number.MAX_SAFE_INTEGER);
      const text = [
        cursor,
        ...pending.map((one) => describe(one.offset, one)).sort(),
        ...dead.map(({ offset }) => `dead ${offset}`).sort(),
      ];
      found.set(`${queueId}:${group}`, text.join());
      for (const { at, offset } of [...pending, ...dead]) {
        const what = () => `shard ${shard}: ${queueId}:${group}/${offset}: ${at.index}, ${logTrim}`;
        expect(at.index > logTrim, 'delivery-body-kept', what);
      }
    }
    const expected = this.#of(shard);
    const names = [...found.keys()].sort().join();
    expect(names === [...expected.keys()].sort().join(), 'deliveries-kept', () => names);
    for (const [name, { cursor, dead, pending }] of expected) {
      const text = [
        cursor,
        ...[...pending].map(([offset, one]) => describe(offset, one)).sort(),
        ...[...dead.keys()].map((offset) => `dead ${offset}`).sort(),
      ].join();
      const what = () => `shard ${shard}: ${name}: ${found.get(name)}; not ${text}`;
      expect(found.get(name) === text, 'deliveries-kept', what);
    }
  }
}

function nameOf({ group, queueId }: { readonly group: string; readonly queueId: QueueId }): string {
  return `${queueId}:${group}`;
}

/** What is not wanted is decided, but only what the group had not got past before. */
function passOver(consumed: Consumed, from: number, to: number): void {
  if (from <= consumed.cursor) consumed.cursor = Math.max(consumed.cursor, to);
}

function newMessage({ at, keyHash }: Body, { timeMs }: Entry): Message {
  return { keyHash, at, attempt: 0, isLeased: false, token: 0, dueAtMs: timeMs };
}

/** The rule that giving it would break; undefined = it is free. */
function problemOf({ fifo, pending }: Consumed, offset: number, nowMs: number): string | undefined {
  const one = pending.get(offset);
  if (one === undefined) return 'delivery-decided';
  if (one.dueAtMs > nowMs) return one.isLeased ? 'delivery-one-holder' : 'delivery-early';
  if (one.attempt >= maxDeliveryAttempts) return 'delivery-attempts';
  if (!fifo || one.keyHash === 0) return undefined;
  for (const earlier of pending.values()) {
    if (earlier === one) return undefined;
    if (earlier.keyHash === one.keyHash) return 'delivery-order';
  }
  return undefined;
}

function describe(offset: number, one: Omit<Message, keyof Body>): string {
  const { attempt, dueAtMs, isLeased, token } = one;
  return `${offset}: ${attempt} ${isLeased} ${token} ${dueAtMs}`;
}
