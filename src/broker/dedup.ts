/**
 * Idempotent producing (internals rule 13): a repeated request gets its first answer, whoever
 * leads by then. One window of the last accepted requests per (producer, queue); sequences count
 * messages from 0 within a producer epoch.
 */
import assert from 'node:assert';
import type { Entry, ShardTimeMs } from '../../raft/types.ts';
import { ByteReader, ByteWriter, readVersioned } from './bytes.ts';
import type { FirstAnswer, ProducerSequence, QueueId, Refusal } from './commands.ts';
import { Durability } from './commands.ts';
import type { DataShardLimits } from './limits.ts';
import { MAX_FORGOTTEN_PER_ENTRY } from './limits.ts';
import type { AcceptedRequest } from './request-window.ts';
import { RequestWindow } from './request-window.ts';
import type { StateRow, StateWriter } from './state-port.ts';

interface ProducerState {
  readonly queueId: QueueId;
  readonly producerId: string;
  readonly key: Uint8Array;
  epoch: number;
  lastTimeMs: ShardTimeMs;
  /** The last accepted request may be lost by its producer's own choice: a gap may follow it. */
  afterWeaker: boolean;
  /** Never empty. */
  window: RequestWindow;
}

/** A request that names its producer. */
export interface SequencedRequest {
  readonly queueId: QueueId;
  readonly count: number;
  readonly durability: Durability;
  readonly producer: ProducerSequence;
}

export type DedupVerdict =
  | { readonly type: 'new' }
  | { readonly type: 'repeat'; readonly first: AcceptedRequest }
  | { readonly type: 'refused'; readonly refusal: Refusal };

const VERSION = 3;
/** Enough for most rows, so that they are written without growing. */
const ROW_BYTES = 448;
const NEW: DedupVerdict = Object.freeze({ type: 'new' });

export class Dedup {
  readonly #queues = new Map<QueueId, Map<string, ProducerState>>();
  /** Those with the longest silence first: in the order of their last accepted entries. */
  readonly #byIdleness = new Set<ProducerState>();
  readonly #limits: DataShardLimits;

  constructor(limits: DataShardLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#byIdleness.size;
  }

  check(request: SequencedRequest): DedupVerdict {
    const { producer, count } = request;
    const given = producer.sequence;
    const state = this.#queues.get(request.queueId)?.get(producer.producerId);
    const gapAllowed = request.durability !== Durability.majorityFsync;
    if (state === undefined || producer.producerEpoch > state.epoch) {
      if (given === 0 || gapAllowed) return NEW;
      return refuse('SEQUENCE_GAP', 0, given);
    }
    if (producer.producerEpoch < state.epoch) {
      const fenced = { reason: 'PRODUCER_FENCED', epoch: state.epoch } as const;
      return { type: 'refused', refusal: { ...fenced, given: producer.producerEpoch } };
    }
    const expected = state.window.nextSequence;
    if (given === expected) return NEW;
    if (given < expected) return recall(state.window, given, count, expected);
    return state.afterWeaker || gapAllowed ? NEW : refuse('SEQUENCE_GAP', expected, given);
  }

  /**
   * Remembers a request that `check` called new and whose messages got `baseOffset`, or later, or
   * that stored nothing because its keys were known.
   */
  accept(
    request: SequencedRequest,
    baseOffset: number | undefined,
    entry: Entry,
    out: StateWriter,
    byKeys?: FirstAnswer,
  ): void {
    const { producer, queueId, count } = request;
    const accepted: AcceptedRequest = {
      sequence: producer.sequence,
      count,
      baseOffset,
      index: entry.index,
      term: entry.term,
      ...(byKeys === undefined ? {} : { byKeys }),
    };
    const known = this.#queues.get(queueId)?.get(producer.producerId);
    const state = known ?? this.#create(queueId, producer, entry.timeMs, out);
    remember(state, producer.producerEpoch, accepted);
    state.lastTimeMs = entry.timeMs;
    state.afterWeaker = request.durability !== Durability.majorityFsync;
    this.#byIdleness.delete(state);
    this.#byIdleness.add(state);
    out.put('producer', state.key, encodeProducer(state));
  }

  dropQueue(queueId: QueueId, out: StateWriter): void {
    const producers = this.#queues.get(queueId);
    for (const state of producers?.values() ?? []) this.#drop(state, out);
  }

  load(rows: readonly StateRow[]): void {
    const found = rows.map(readProducer);
    found.sort((a, b) => a.window.lastIndex - b.window.lastIndex);
    for (const state of found) this.#add(state);
  }

  #create(
    queueId: QueueId,
    producer: ProducerSequence,
    nowMs: ShardTimeMs,
    out: StateWriter,
  ): ProducerState {
    this.#forget(nowMs, out);
    const state = newProducer(queueId, producer);
    this.#add(state);
    return state;
  }

  #add(state: ProducerState): void {
    const { queueId, producerId } = state;
    const producers = this.#queues.get(queueId);
    if (producers === undefined) this.#queues.set(queueId, new Map([[producerId, state]]));
    else producers.set(producerId, state);
    this.#byIdleness.add(state);
  }

  #drop(state: ProducerState, out: StateWriter): void {
    const producers = this.#queues.get(state.queueId)!;
    producers.delete(state.producerId);
    if (producers.size === 0) this.#queues.delete(state.queueId);
    this.#byIdleness.delete(state);
    out.put('producer', state.key, undefined);
  }

  /** Makes room for one more. Only then does anything expire: a known producer costs no search. */
  #forget(nowMs: ShardTimeMs, out: StateWriter): void {
    let left = MAX_FORGOTTEN_PER_ENTRY;
    for (const state of this.#byIdleness) {
      const isIdle = state.lastTimeMs + this.#limits.producerIdleMs <= nowMs;
      const isFull = this.#byIdleness.size >= this.#limits.maxProducers;
      if (left === 0 || !(isIdle || isFull)) return;
      left -= 1;
      this.#drop(state, out);
    }
  }
}

function newProducer(queueId: QueueId, producer: ProducerSequence): ProducerState {
  const { producerId, producerEpoch } = producer;
  return {
    queueId,
    producerId,
    key: new ByteWriter(16).u32be(queueId).textToEnd(producerId).finishCopy(),
    epoch: producerEpoch,
    lastTimeMs: 0,
    afterWeaker: false,
    window: new RequestWindow(),
  };
}

function remember(state: ProducerState, epoch: number, accepted: AcceptedRequest): void {
  if (epoch !== state.epoch) {
    assert(epoch > state.epoch);
    state.epoch = epoch;
    state.window = new RequestWindow();
  }
  state.window.push(accepted);
}

/** `given` lies before the next sequence: what was answered then? */
function recall(
  window: RequestWindow,
  given: number,
  count: number,
  expected: number,
): DedupVerdict {
  const first = window.find(given);
  if (first === undefined) return refuse('SEQUENCE_TOO_OLD', expected, given);
  const isSame = given === first.sequence && count === first.count;
  return isSame ? { type: 'repeat', first } : refuse('SEQUENCE_MISMATCH', expected, given);
}

function refuse(
  reason: 'SEQUENCE_GAP' | 'SEQUENCE_TOO_OLD' | 'SEQUENCE_MISMATCH',
  expected: number,
  given: number,
): DedupVerdict {
  return { type: 'refused', refusal: { reason, expected, given } };
}

/** Row: version, epoch, lastTimeMs, afterWeaker, window. */
function encodeProducer(state: ProducerState): Uint8Array {
  const row = new ByteWriter(ROW_BYTES).u8(VERSION).uint(state.epoch).uint(state.lastTimeMs);
  state.window.writeTo(row.u8(state.afterWeaker ? 1 : 0));
  return row.finish();
}

function readProducer({ key, value }: StateRow): ProducerState {
  const fromKey = new ByteReader(key);
  const row = readVersioned(value, VERSION);
  const state: ProducerState = {
    queueId: fromKey.u32be(),
    producerId: fromKey.textToEnd(),
    key: new Uint8Array(key),
    epoch: row.uint(),
    lastTimeMs: row.uint(),
    afterWeaker: row.u8() === 1,
    window: RequestWindow.readFrom(row),
  };
  row.expectEnd();
  return state;
}
