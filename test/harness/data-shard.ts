/** A data shard with its rows, fed with commands as a log would. */
import { EMPTY_BYTES, type Entry, EntryType } from '../../raft/types.ts';
import type { DataShard } from '../../src/broker/api.ts';
import { encodeCommand } from '../../src/broker/command-codec.ts';
import type { ApplyResult, Command, Durability } from '../../src/broker/commands.ts';
import { createDataShard } from '../../src/broker/data-shard.ts';
import type { DeliveryCommand, Verdict } from '../../src/broker/delivery-commands.ts';
import { DATA_SHARD_LIMITS, type DataShardLimits } from '../../src/broker/limits.ts';
import { MemoryRows } from './state-rows.ts';

export type FreshPick = readonly [index: number, keyHash?: number];
export type LeaseOptions = Partial<Extract<DeliveryCommand, { type: 'lease' }>>;

export class ShardFixture {
  readonly rows = new MemoryRows();
  readonly state: DataShard;
  index = 0;
  term = 1;
  timeMs = 1000;
  readonly #limits: DataShardLimits;

  constructor(limits: Partial<DataShardLimits> = {}) {
    this.#limits = { ...DATA_SHARD_LIMITS, ...limits };
    this.state = createDataShard(1, this.#limits);
  }

  apply(command: Command, payloadBytes = 0): ApplyResult {
    this.index += 1;
    const entry = entryOf(command, this.index, this.term, this.timeMs, payloadBytes);
    return this.state.apply(entry, this.rows);
  }

  open(queueId: number, topicId = '7'): void {
    this.apply({ type: 'openQueue', queueId, topicId, queue: queueId });
  }

  produce(queueId: number, count = 1, payloadBytes = 10): ApplyResult {
    return this.apply(
      { type: 'produce', queueId, count, durability: 1, producer: undefined },
      payloadBytes,
    );
  }

  send(
    sequence: number,
    count = 1,
    options: { epoch?: number; durability?: Durability; queueId?: number; id?: string } = {},
  ): ApplyResult {
    const { epoch = 0, durability = 1, queueId = 1, id = 'p' } = options;
    const producer = { producerId: id, producerEpoch: epoch, sequence };
    return this.apply({ type: 'produce', queueId, count, durability, producer });
  }

  delay(deliverAtMs: number, count = 1, queueId = 1, payloadBytes = 10): ApplyResult {
    const command = {
      type: 'produce',
      queueId,
      count,
      durability: 1,
      producer: undefined,
    } as const;
    return this.apply({ ...command, deliverAtMs }, payloadBytes);
  }

  deliver(...indexes: number[]): ApplyResult {
    const batches = indexes.map((index) => ({ term: this.term, index }));
    return this.apply({ type: 'deliver', batches });
  }

  prepare(
    callerId = '',
    count = 1,
    options: { queueId?: number; group?: string; maxChecks?: number } = {},
  ): ApplyResult {
    const { queueId = 1, group = 'g', ...limit } = options;
    return this.apply(
      {
        type: 'prepare',
        producerGroup: group,
        callerId,
        topic: 'orders',
        queueId,
        count,
        firstCheckAfterMs: 6000,
        checkIntervalMs: 30_000,
        ...limit,
      },
      count * 10,
    );
  }

  end(
    ref: number | string,
    decision: 'commit' | 'rollback' | 'unknown',
    group = 'g',
    term = 1,
  ): ApplyResult {
    const transaction =
      typeof ref === 'string'
        ? ({ by: 'caller', callerId: ref } as const)
        : ({ by: 'id', id: { term, index: ref } } as const);
    return this.apply({ type: 'end', producerGroup: group, transaction, decision });
  }

  /** Leases what is due, and of the new ones as many, each given as (log index, key hash). */
  lease(fresh: readonly FreshPick[] = [], options: LeaseOptions = {}): ApplyResult {
    const { deliveries } = this.state;
    const { queueId = 1, group = 'g', leaseMs = 30_000, fifo = false, ...others } = options;
    const cursor = deliveries.subscription(group, queueId)?.cursor ?? others.fromOffset ?? 0;
    const due = deliveries.due(group, queueId, this.timeMs, 100);
    return this.apply({
      ...{ type: 'lease', group, queueId, fifo, leaseMs, consumer: 'c', fromOffset: 0 },
      again: due.map(({ offset }) => offset),
      freshOffset: Math.max(cursor, this.state.queue(queueId)?.startOffset ?? 0),
      fresh: fresh.map(([index, keyHash = 0]) => {
        const place = { firstIndex: index, position: 0, storedAtMs: 1000 };
        return { at: { term: this.term, index }, ...place, keyHash };
      }),
      ...others,
    });
  }

  settle(offset: number, token: number, verdict: Verdict, queueId = 1, group = 'g'): ApplyResult {
    const items = [{ offset, token, verdict }];
    return this.apply({ type: 'settle', group, queueId, items });
  }

  /** A twin that was started from this one's rows. */
  reloaded(): ShardFixture {
    return this.loadInto(new ShardFixture(this.#limits));
  }

  protected loadInto<Twin extends ShardFixture>(twin: Twin): Twin {
    twin.index = this.index;
    twin.term = this.term;
    twin.timeMs = this.timeMs;
    for (const { table, key, value } of this.rows.rows()) twin.rows.put(table, key, value);
    twin.rows.puts.length = 0;
    twin.state.load(this.rows.rows());
    return twin;
  }
}

export function entryOf(
  command: Command,
  index: number,
  term: number,
  timeMs: number,
  payloadBytes: number,
): Entry {
  const head = encodeCommand(command);
  const payload = payloadBytes === 0 ? EMPTY_BYTES : new Uint8Array(payloadBytes);
  return { index, term, type: EntryType.command, timeMs, head, payload, bodyCrc: 0 };
}
