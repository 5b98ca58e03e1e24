/**
 * Random histories of a data shard, as leaders would write them: mostly sensible commands, with
 * repeats, late ones and wrong ones among them. Steps are plain numbers, so that they shrink.
 */
import fc from 'fast-check';
import type {
  ApplyResult,
  Command,
  Durability,
  StoredAt,
  TransactionRef,
} from '../../src/broker/commands.ts';
import { bucketEnd, bucketOf } from '../../src/broker/late-references.ts';
import type { DataShardLimits } from '../../src/broker/limits.ts';
import { outcomeFor } from '../../src/broker/outcomes.ts';
import type { QueueIndexRow } from '../../src/broker/state-port.ts';
import type { LeaseRef } from '../../src/broker/transaction-commands.ts';
import { ShardFixture } from './data-shard.ts';

/** Small bounds, so that a short history reaches them. */
export const SMALL_LIMITS: Partial<DataShardLimits> = {
  producerIdleMs: 1500,
  maxProducers: 4,
  endedTransactionKeepMs: 1500,
  maxEndedTransactions: 5,
  // A closed id never comes back in these histories.
  maxClosedQueues: 1000,
  maxDeadLetters: 2,
  maxDeliveryAttempts: 2,
};

export interface Step {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

function number(max: number): fc.Arbitrary<number> {
  return fc.noBias(fc.nat(max));
}

export const anySteps = fc.array(
  fc.record({ kind: number(99), a: number(9999), b: number(9999), c: number(9999) }),
  { minLength: 1, maxLength: 160, size: 'max' },
);

export const GROUPS = ['g', 'h'];
const QUEUES_WANTED = 3;

interface Prepared {
  readonly group: string;
  readonly command: Command;
  readonly ref: TransactionRef;
}

export class History {
  readonly shard = new ShardFixture(SMALL_LIMITS);
  /** How often each outcome came: a history that never reaches one proves nothing about it. */
  readonly tally: Map<string, number>;
  readonly #trims: Command[] = [];
  readonly #prepared: Prepared[] = [];
  readonly #sent: Extract<Command, { type: 'produce' }>[] = [];
  readonly #leases: LeaseRef[] = [];
  readonly #stored: StoredAt[] = [];
  #lastQueueId = 0;

  constructor(tally = new Map<string, number>()) {
    this.tally = tally;
  }

  /** The next command; also moves time and, now and then, the term. */
  next(step: Step): { command: Command; payloadBytes: number } {
    this.shard.timeMs += step.c % 60;
    if (step.c % 20 === 0) this.shard.term += 1;
    const isShort = [...this.shard.state.queues()].length < QUEUES_WANTED;
    const command = isShort ? this.#openQueue(step) : this.#picked(this.#command(step), step);
    return { command, payloadBytes: step.b % 40 };
  }

  /** What became of it. */
  note(command: Command, result: ApplyResult): void {
    const name = outcomeName(command, result);
    this.tally.set(name, (this.tally.get(name) ?? 0) + 1);
    if (command.type === 'prepare' && result.type === 'prepared' && !result.duplicate) {
      const { producerGroup, callerId } = command;
      const byId: TransactionRef = { by: 'id', id: result.id };
      const ref: TransactionRef = callerId === '' ? byId : { by: 'caller', callerId };
      this.#prepared.push({ group: producerGroup, command, ref });
    }
    if (result.type === 'partPrepared') this.#stored.push(result.at);
    if (command.type === 'begin' && result.type === 'prepared' && !result.duplicate) {
      const ref: TransactionRef = { by: 'id', id: result.id };
      this.#prepared.push({ group: command.producerGroup, command, ref });
    }
    if (result.type === 'leased') this.#leases.push(...result.checks);
    const isNew = result.type === 'produced' && !result.duplicate;
    if (command.type === 'produce' && command.producer !== undefined && isNew) {
      this.#sent.push(command);
    }
  }

  #command(step: Step): Command {
    const { kind, a, b, c } = step;
    const queueId = this.#anyQueue(a);
    if (kind < 2) return this.#openQueue(step);
    if (kind === 2) return { type: 'closeQueue', queueId };
    if (kind === 3) return this.#fence(queueId, step);
    if (kind < 10) {
      return { type: 'produce', queueId, count: 1 + (b % 900), durability: 1, producer: undefined };
    }
    if (kind < 18) return this.#delays(queueId, step);
    if (kind < 36) return this.#produceWithSequence(queueId, step);
    if (kind < 43) return this.#several(step);
    if (kind < 50) return this.#prepare(queueId, step);
    if (kind < 66) return this.#end(step);
    const producerGroup = GROUPS[b % 2]!;
    if (kind < 74) {
      const { timeMs, state } = this.shard;
      if (kind >= 69) return this.#checked(step);
      const transactions = state.dueChecks(producerGroup, timeMs, 1 + (a % 3));
      const lease = { producerGroup, transactions, leaseMs: c % 300 };
      const command = { type: 'leaseChecks', ...lease } as const;
      return b % 5 === 0 ? command : { ...command, countsLater: true };
    }
    if (kind < 80) return groupCommand(step);
    if (kind < 93) return this.#delivery(queueId, step);
    return this.#trim(a, b);
  }

  /** Now and then one that was there before. */
  #fence(queueId: number, { a }: Step): Command {
    const known = this.shard.state.queue(queueId)?.minQueueEpoch ?? 0;
    return { type: 'fenceQueue', queueId, minQueueEpoch: Math.max(1, known + 1 - (a % 3)) };
  }

  /** Writes are mostly picked at the epoch of the fence, now and then at the one before. */
  #picked(command: Command, { c }: Step): Command {
    const { type } = command;
    if (type !== 'produce' && type !== 'prepare' && type !== 'preparePart') return command;
    const fence = this.shard.state.queue(command.queueId)?.minQueueEpoch ?? 0;
    const queueEpoch = c % 7 === 0 ? fence - 1 : fence;
    return queueEpoch <= 0 ? command : { ...command, queueEpoch };
  }

  #anyQueue(a: number): number {
    const open = [...this.shard.state.queues()].map(({ queueId }) => queueId);
    if (a % 40 === 0 || open.length === 0) return 1 + (a % (this.#lastQueueId + 2));
    return open[a % open.length]!;
  }

  /** Usually a new id; now and then one that was there before. */
  #openQueue({ a, b }: Step): Command {
    if (a % 4 === 0 && this.#lastQueueId > 0) {
      const queueId = 1 + (b % this.#lastQueueId);
      return { type: 'openQueue', queueId, topicId: `t${queueId % 2}`, queue: queueId };
    }
    this.#lastQueueId += 1;
    const queueId = this.#lastQueueId;
    return { type: 'openQueue', queueId, topicId: `t${queueId % 2}`, queue: queueId };
  }

  /** One more, those that are due (or one that is not, or was before), a recall or a copy. */
  #delays(queueId: number, { kind, a, b, c }: Step): Command {
    const { timeMs, term, index, state } = this.shard;
    if (kind < 14) {
      const deliverAtMs = Math.max(1, timeMs - 50 + (c % 400));
      const count = 1 + (b % 300);
      return { type: 'produce', queueId, count, durability: 1, producer: undefined, deliverAtMs };
    }
    const any = { term, index: Math.max(1, index - (b % 30)) };
    const waiting = state.dueDelayed(Number.MAX_SAFE_INTEGER, 5);
    if (kind === 14) return { type: 'recall', index: (waiting[a % 5] ?? any).index };
    const held = state.heldBodies(Number.MAX_SAFE_INTEGER, 3);
    const body = held[b % 3];
    if (kind === 15 && body !== undefined) {
      // Now and then from where it is not.
      const from = c % 4 === 0 ? { term, index } : body.at;
      return { type: 'copy', owner: body.owner, id: body.id, from };
    }
    if (kind === 15) {
      const row = liveRows(this.shard)[b % 5];
      if (row !== undefined) return copyOf(this.shard, row);
    }
    const due = state.dueDelayed(timeMs, 1 + (a % 3));
    return { type: 'deliver', batches: a % 6 === 0 ? [...due, any, ...waiting] : due };
  }

  #produceWithSequence(queueId: number, { a, b, c }: Step): Command {
    const sent = this.#sent;
    if (a % 4 === 0 && sent.length > 0) {
      const again = sent[Math.max(0, sent.length - 1 - (b % 8))]!;
      return c % 5 === 0 ? { ...again, count: again.count + 1 } : again;
    }
    const producerId = `p${b % 3}`;
    const last = sent.findLast(
      (old) => old.queueId === queueId && old.producer?.producerId === producerId,
    );
    const known = last?.producer?.producerEpoch ?? 0;
    // Often a producer that starts again, now and then its former life.
    const epoch = c % 9 === 0 ? known + 1 : Math.max(0, known - (c % 20 === 1 ? 1 : 0));
    const isSameEpoch = last?.producer?.producerEpoch === epoch;
    const next = isSameEpoch ? last.producer.sequence + last.count : 0;
    const sequence = next + (c % 11 === 0 ? 2 : 0);
    const durability = (b % 8 === 0 ? 2 + (c % 3) : 1) as Durability;
    const producer = { producerId, producerEpoch: epoch, sequence };
    const command = { type: 'produce', queueId, count: 1 + (a % 3), durability, producer } as const;
    return b % 8 === 1 ? { ...command, deliverAtMs: this.shard.timeMs + (a % 100) } : command;
  }

  /** Told of a delivery (now and then again, or too late), parked or resumed. */
  #checked({ kind, a, b }: Step): Command {
    const { state, timeMs } = this.shard;
    const leases = this.#leases;
    if (kind < 72) {
      const last = leases[Math.max(0, leases.length - 1 - (b % 4))];
      return { type: 'checksDelivered', checks: last === undefined ? [] : [last] };
    }
    const full = state.dueToPark(a % 5 === 0 ? Number.MAX_SAFE_INTEGER : timeMs, 3);
    if (kind === 72) return { type: 'park', transactions: full };
    const open = [...state.openTransactions(0)].map(({ id }) => id);
    return {
      type: 'resume',
      transaction: open[b % Math.max(1, open.length)] ?? { term: 1, index: 1 },
    };
  }

  /** Of several queues, coordinated here: any step of it, also again and out of order. */
  #several(step: Step): Command {
    const { kind, a, b, c } = step;
    const { state, timeMs } = this.shard;
    const open = [...state.openTransactions(0)].filter(({ state: at }) => at === 'preparing');
    const id = open[b % Math.max(1, open.length)]?.id ?? { term: 1, index: 1 + (a % 50) };
    const transaction = { shard: 1, ...id };
    const part = c % 2;
    if (kind === 36) return this.#begin(step);
    if (kind < 39) {
      return { type: 'preparePart', transaction, part, queueId: this.#anyQueue(a), count: 1 };
    }
    if (kind === 39) {
      const offsets = [{ queue: a % 3, from: b % 2 === 0 ? undefined : b % 20, offset: 20 }];
      const topics = [{ topicId: `t${c % 2}`, offsets }];
      const group = GROUPS[a % 2]!;
      return { type: 'prepareOffsets', transaction, group, generation: 0, memberId: '', topics };
    }
    const stored = this.#stored.slice(-3);
    // Mostly parts of others: multi-transactions.test.ts has the right order of steps.
    if (kind === 40 && open.length > 0) {
      const wanted = open[b % open.length]!;
      const count = wanted.parts.length + (wanted.offsets === undefined ? 0 : 1);
      const parts = Array.from({ length: count }, (_, at) => stored[at] ?? { term: 1, index: 1 });
      return { type: 'prepared', transaction: wanted.id, parts };
    }
    const left = [...state.unresolved()];
    const ended = left[b % Math.max(1, left.length)];
    if (kind === 41 && ended !== undefined) return outcomeFor(1, ended, 1);
    if (kind === 41) return { type: 'resolve', transaction, commits: c % 2 === 0, parts: stored };
    if (ended !== undefined) {
      const shown = [{ part, baseOffset: a % 9 }];
      return { type: 'resolved', transaction: ended.id, shards: [1], shown };
    }
    const late = state.dueToAbort(timeMs + 100_000) ?? id;
    const by = c % 2 === 0 ? 'refusal' : 'timeout';
    const ref = { by: 'id', id: late } as const;
    return { type: 'end', producerGroup: '', transaction: ref, decision: 'rollback', by };
  }

  #begin({ a, b, c }: Step): Command {
    const part = (at: number) => {
      const queueId = this.#anyQueue(at);
      return { shard: 1, topic: 'orders', queueId, queue: queueId, count: 1 + (at % 3) };
    };
    return {
      ...{ type: 'begin', producerGroup: GROUPS[b % 2]!, callerId: c % 3 === 0 ? `m${a % 5}` : '' },
      ...{ firstCheckAfterMs: a % 200, checkIntervalMs: b % 200, maxChecks: c % 3 },
      parts: [part(a), part(b)],
      offsets: c % 2 === 0 ? undefined : { shard: 1, group: GROUPS[a % 2]! },
    };
  }

  #prepare(queueId: number, { a, b, c }: Step): Command {
    const old = this.#prepared[b % Math.max(1, this.#prepared.length)];
    if (a % 5 === 0 && old?.command.type === 'prepare') {
      return c % 3 === 0 ? { ...old.command, count: old.command.count + 1 } : old.command;
    }
    return {
      type: 'prepare',
      producerGroup: GROUPS[b % 2]!,
      callerId: a % 2 === 0 ? '' : `c${this.shard.index}`,
      topic: 'orders',
      queueId,
      count: 1 + (b % 700),
      firstCheckAfterMs: a % 200,
      checkIntervalMs: b % 200,
      ...(c % 2 === 0 ? {} : { maxChecks: c % 3 }),
    };
  }

  #end({ a, b, c }: Step): Command {
    const prepared = this.#prepared;
    const recent = prepared[Math.max(0, prepared.length - 1 - (a % 8))];
    const decision = (['commit', 'commit', 'rollback', 'unknown'] as const)[c % 4]!;
    if (recent === undefined || b % 20 === 0) {
      const transaction: TransactionRef = { by: 'caller', callerId: `c${c % 6}` };
      return { type: 'end', producerGroup: GROUPS[a % 2]!, transaction, decision };
    }
    const producerGroup = b % 20 === 1 ? 'foreign' : recent.group;
    return { type: 'end', producerGroup, transaction: recent.ref, decision };
  }

  /** Leases of what a leader would pick, and of what it would not; settled rightly and wrongly. */
  #delivery(queueId: number, { kind, a, b, c }: Step): Command {
    const { shard } = this;
    const { state, timeMs } = shard;
    const group = GROUPS[b % 2]!;
    const name = { group, queueId };
    const pending = [...state.deliveries.pending(group, queueId)];
    const any = pending[a % Math.max(1, pending.length)];
    const offset = any?.offset ?? c % 9;
    if (kind < 86) return this.#lease(queueId, { a, b, c, kind });
    if (kind < 90) {
      const token = (any?.token ?? 0) + (b % 5 === 0 ? 1 : 0);
      const type = (['ack', 'nack', 'nack', 'extend', 'release'] as const)[c % 5]!;
      const verdict =
        type === 'ack' || type === 'release'
          ? ({ type } as const)
          : type === 'nack'
            ? ({ type, delayMs: a % 3 === 0 ? undefined : a % 90 } as const)
            : ({ type, extendMs: a % 200 } as const);
      return { type: 'settle', ...name, items: [{ offset, token, verdict }] };
    }
    if (kind === 90) {
      const over = state.deliveries.over(a % 3 === 0 ? Number.MAX_SAFE_INTEGER : timeMs, 4);
      return { type: 'expire', deliveries: [...over, { ...name, offset }] };
    }
    if (kind === 91) {
      const grave = [...state.deliveries.subscriptions()].find(({ dead }) => dead > 0) ?? name;
      const where = { group: grave.group, queueId: grave.queueId };
      const dead = state.deliveries.deadLetters(where.group, where.queueId, 0, 1 + (a % 3));
      const action = c % 2 === 0 ? 'resend' : 'purge';
      return { type: 'settleDead', ...where, action, offsets: dead.map((one) => one.offset) };
    }
    if (a % 2 === 0) return { type: 'unsubscribe', ...name };
    return { type: 'seekSubscription', ...name, offset: a % 40 };
  }

  #lease(queueId: number, { a, b, c }: Step): Command {
    const { shard } = this;
    const group = GROUPS[b % 2]!;
    const due = shard.state.deliveries.due(group, queueId, shard.timeMs, 1 + (a % 4));
    const known = shard.state.deliveries.subscription(group, queueId);
    const start = shard.state.queue(queueId)?.startOffset ?? 0;
    const freshOffset = Math.max(known?.cursor ?? 0, start) + (a % 30 === 0 ? 1 : 0);
    const rows = liveRows(shard).filter((row) => row.queueId === queueId);
    const filter = group === 'g' ? undefined : { type: 1, expression: `t${c % 40 === 1}` };
    const step = filter === undefined ? 1 : 2;
    const wanted = Array.from({ length: a % 4 }, (_, at) => freshOffset + step * at + step - 1);
    const fresh = wanted.flatMap((offset) => {
      const row = rows.find(({ baseOffset, count }) => {
        return baseOffset <= offset && offset < baseOffset + count;
      });
      if (row === undefined) return [];
      const { index, term, baseOffset, storedAtMs } = row;
      const place = { firstIndex: index, position: offset - baseOffset, storedAtMs };
      return [{ at: { term, index }, ...place, keyHash: offset % 3 }];
    });
    const fifo = c % 40 === 0 ? group === 'g' : group !== 'g';
    return {
      ...{ type: 'lease', group, queueId, fifo, consumer: `c${c % 3}` },
      fromOffset: a % 5 === 0 ? b % 3 : undefined,
      ...{ leaseMs: c % 150, again: due.map(({ offset }) => offset), freshOffset, fresh },
      selection: filter && { filter, passed: [...fresh.map(() => 1), b % 3] },
    };
  }

  /** A trim decided now, or one decided some entries ago that comes late. */
  #trim(a: number, b: number): Command {
    const trims = this.#trims;
    trims.push(decideTrim(this.shard, a));
    return trims[Math.max(0, trims.length - 1 - (b % 3))]!;
  }
}

function groupCommand({ kind, a, b, c }: Step): Command {
  const group = GROUPS[c % 2]!;
  const topicId = `t${a % 2}`;
  if (kind === 74) return { type: 'forgetTopic', topicId };
  const offsets = [
    { queue: a % 3, offset: b % 20 },
    { queue: b % 3, offset: a % 20 },
  ];
  const type = kind < 78 ? 'resetOffsets' : 'commitOffsets';
  return { type, group, topicId, offsets };
}

/** What still stands in the open queues, as the index rows say. */
export function liveRows(shard: ShardFixture): QueueIndexRow[] {
  return shard.rows.index.filter(({ queueId, baseOffset, count }) => {
    const queue = shard.state.queue(queueId);
    return queue !== undefined && baseOffset + count > queue.startOffset;
  });
}

/** With what is left of its bucket then. */
function copyOf(shard: ShardFixture, { index, term, ...row }: QueueIndexRow): Command {
  const bucket = bucketOf(row.baseOffset + row.count - 1);
  const others = liveRows(shard).filter(
    (one) =>
      one.queueId === row.queueId &&
      one.baseOffset !== row.baseOffset &&
      bucketOf(one.baseOffset + one.count - 1) === bucket,
  );
  const { endOffset } = shard.state.queue(row.queueId)!;
  return {
    ...{ type: 'copyRow', row, id: { term, index } },
    lowest: Math.min(shard.index + 1, ...others.map((one) => one.index)),
    until: Math.min(endOffset, bucketEnd(bucket)),
  };
}

/** As a leader would: whole batches, from applied state; the log as far as nothing needs it. */
function decideTrim(shard: ShardFixture, a: number): Command {
  let lowest = shard.index + 1;
  const queues = [];
  for (const { queueId, startOffset, endOffset } of shard.state.queues()) {
    const rows = liveRows(shard).filter((row) => row.queueId === queueId);
    const kept = rows.slice(a % (rows.length + 1));
    const [first] = kept;
    const plain = kept.find((row) => {
      const last = row.baseOffset + row.count - 1;
      return shard.state.uncountedFrom(queueId, last) === last;
    });
    if (plain !== undefined) lowest = Math.min(lowest, plain.index);
    const newStart = first?.baseOffset ?? endOffset;
    if (newStart <= startOffset && plain === first) continue;
    queues.push({
      ...{ queueId, startIndex: plain?.index ?? 0 },
      startOffset: Math.max(newStart, startOffset),
    });
  }
  lowest = Math.min(lowest, shard.state.lowestLateIndex() ?? lowest);
  return { type: 'trim', queues, logTrim: lowest - 1 };
}

function outcomeName(command: Command, result: ApplyResult): string {
  switch (result.type) {
    case 'refused':
      return `${command.type} ${result.refusal.reason}`;
    case 'produced': {
      const isDelayed = result.baseOffset === undefined;
      return `${command.type} ${result.duplicate ? 'repeat' : 'new'}${isDelayed ? ' delayed' : ''}`;
    }
    case 'prepared':
      return `${command.type} ${result.duplicate ? 'repeat' : 'new'}`;
    case 'delivered':
      return `deliver ${result.count > 0 ? 'some' : 'none'}`;
    case 'ended':
      return `${command.type} ${result.state}`;
    case 'copied':
      return `copy ${result.moved ? 'moved' : 'late'}`;
    case 'resolved':
      return `${command.type} ${result.shown.length > 0 ? 'some' : 'none'}`;
    case 'given':
      return `lease ${result.messages.length > 0 ? 'some' : 'none'}`;
    case 'settled':
      return `settle ${result.items[0]?.status}${result.items[0]?.isDead === true ? ' dead' : ''}`;
    case 'buried':
    case 'deadSettled':
    case 'counted':
    case 'parked':
      return `${command.type} ${result.count > 0 ? 'some' : 'none'}`;
    case 'leased':
      return `${command.type} ${result.checks.length > 0 ? 'some' : 'none'}`;
    default:
      return command.type;
  }
}
