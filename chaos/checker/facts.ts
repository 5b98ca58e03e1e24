/** A history, put the way the properties ask: what was sent, acknowledged and shown, and where. */
import type { CommittedAt, EventOf, EventType, History, InQueue, MovedOffset } from '../history.ts';
import type { Bound } from './bound.ts';
import { type Place, Places } from './places.ts';

/** Of the file: the first line is 1. */
export interface Numbered {
  readonly line: number;
}
export type Line<T extends EventType> = EventOf<T> & Numbered;

/** One write, with every attempt at it. */
export interface Send {
  readonly log: string;
  readonly values: readonly string[];
  readonly attempts: readonly Line<'produce'>[];
}

/** What a transaction writes to one queue. */
export interface Part {
  readonly log: string;
  /** Of all its messages. */
  readonly key: string | undefined;
  readonly values: readonly string[];
  readonly transaction: Transaction;
}

export interface Transaction {
  readonly id: string;
  /** The first one coordinates. */
  readonly parts: readonly Part[];
  /** Offsets that are committed with it. */
  readonly moves: readonly MovedOffset[];
  readonly prepares: readonly Line<'prepare'>[];
  readonly ends: readonly Line<'end'>[];
}

/** Everything that one node showed of one queue in the end. */
export interface FinalRead {
  readonly log: string;
  readonly node: number;
  readonly line: number;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly shown: ReadonlyMap<number, Place>;
}

/** What an answer says of the ends of a queue: a read, or a list of offsets. */
export interface Look {
  readonly log: string;
  readonly topic: string | undefined;
  readonly node: number;
  readonly invokedMs: number;
  readonly completedMs: number;
  readonly startOffset: number;
  readonly endOffset: number;
  /** It knows all that was known before it began. */
  readonly linearizable: boolean;
  readonly line: number;
}

export function logOf({ topic, queue }: InQueue): string {
  return topic === undefined ? `queue ${queue}` : `queue ${queue} of ${topic}`;
}

export function listOf<K, V>(map: Map<K, V[]>, key: K): V[] {
  const known = map.get(key);
  if (known !== undefined) return known;
  const fresh: V[] = [];
  map.set(key, fresh);
  return fresh;
}

export class Facts {
  readonly bound: Bound;
  readonly sends: readonly Send[];
  readonly transactions: ReadonlyMap<string, Transaction>;
  /** Every value that any attempt carried. */
  readonly senders: ReadonlyMap<string, Send | Part>;
  /** Of all transactions. */
  readonly parts: readonly Part[];
  readonly places: Places;
  readonly finals: readonly FinalRead[];
  /** Of answers only. */
  readonly looks: readonly Look[];
  readonly #starts = new Map<string, number>();
  readonly #byType = new Map<EventType, Line<EventType>[]>();

  constructor(history: History, bound: Bound) {
    this.bound = bound;
    for (const [i, event] of history.entries()) {
      bound.step();
      listOf(this.#byType, event.type).push({ ...event, line: i + 1 });
    }
    this.sends = collectSends(this.of('produce'));
    this.transactions = collectTransactions(this.of('prepare'), this.of('end'));
    this.parts = [...this.transactions.values()].flatMap(({ parts }) => parts);
    this.senders = new Map(
      [...this.sends, ...this.parts].flatMap((write) =>
        write.values.map((value) => [value, write] as const),
      ),
    );
    this.places = new Places(this);
    this.finals = collectFinals(this);
    this.looks = [...this.of('read'), ...this.of('listed')]
      .filter(({ outcome }) => outcome === 'ok')
      .map(lookOf);
    for (const { log, startOffset } of this.looks) {
      this.#starts.set(log, Math.max(startOffset, this.startOf(log)));
    }
  }

  /** The highest one that any read showed: retention took what is below it, sooner or later. */
  startOf(log: string): number {
    return this.#starts.get(log) ?? 0;
  }

  of<T extends EventType>(type: T): readonly Line<T>[] {
    return (this.#byType.get(type) ?? []) as unknown as readonly Line<T>[];
  }

  /** Every message that any read showed, also those of reads that then failed. */
  *seen(): Generator<{ readonly place: Place; readonly read: Line<'read'> }> {
    for (const read of this.of('read')) {
      const log = logOf(read);
      for (const batch of read.batches) {
        for (const [i, value] of batch.values.entries()) {
          this.bound.step();
          yield { place: { log, offset: batch.offset + i, value, line: read.line }, read };
        }
      }
    }
  }

  /** Acknowledged, or settled by a read that shows part of it. */
  happened(send: Send): boolean {
    return this.proof(send).length > 0;
  }

  /** The line that shows that a write is stored, if one does. */
  proof(send: Send): readonly number[] {
    const part = send.values.find((value) => this.places.isShown(value));
    const proof = ackOf(send) ?? (part === undefined ? undefined : this.places.shown(part));
    return proof === undefined ? [] : [proof.line];
  }
}

/** The answer that says so first. */
export function ackOf({ attempts }: Send): Line<'produce'> | undefined {
  return earliest(attempts.filter(({ outcome }) => outcome === 'ok'));
}

export function commitAckOf({ ends }: Transaction): Line<'end'> | undefined {
  return earliest(
    ends.filter(({ decision, outcome }) => decision === 'commit' && outcome === 'ok'),
  );
}

/** Everything that it writes, in the order of its parts. */
export function valuesOf({ parts }: Transaction): string[] {
  return parts.flatMap(({ values }) => values);
}

/** Where the answer to a commit says that a queue got its messages. */
export function basesIn(end: Line<'end'>): CommittedAt[] {
  const { topic, queue, baseOffset, others = [] } = end;
  if (baseOffset === undefined) return [...others];
  return [{ ...(topic === undefined ? {} : { topic }), queue, baseOffset }, ...others];
}

/** The answer that says first where the messages of a part are. */
export function partAckOf({
  log,
  transaction,
}: Part): { readonly end: Line<'end'>; readonly baseOffset: number } | undefined {
  const end = commitAckOf(transaction);
  const base = end && basesIn(end).find((place) => logOf(place) === log);
  return end && base && { end, baseOffset: base.baseOffset };
}

/** Said in an answer, or shown by a read. */
export function isCommitted(facts: Facts, transaction: Transaction): boolean {
  return (
    commitAckOf(transaction) !== undefined ||
    transaction.ends.some(({ state }) => state === 'COMMITTED') ||
    valuesOf(transaction).some((value) => facts.places.isShown(value))
  );
}

/** From when on it may have had an effect; undefined: every attempt was refused for certain. */
export function effectFromMs(
  attempts: readonly { readonly outcome: string; readonly invokedMs: number }[],
): number | undefined {
  const possible = attempts.filter(({ outcome }) => outcome !== 'fail');
  if (possible.length === 0) return undefined;
  return possible.reduce((ms, { invokedMs }) => Math.min(ms, invokedMs), Infinity);
}

export function isPart(write: Send | Part): write is Part {
  return 'transaction' in write;
}

export function commitsOf({ ends }: Transaction): Line<'end'>[] {
  return ends.filter(({ decision }) => decision === 'commit');
}

function lookOf(answer: Line<'read'> | Line<'listed'>): Look {
  const { topic, node, invokedMs, completedMs, startOffset = 0, endOffset, line } = answer;
  return {
    ...{ log: logOf(answer), topic, node, invokedMs, completedMs, startOffset, endOffset, line },
    linearizable: answer.type === 'listed' || answer.linearizable === true,
  };
}

function earliest<T extends { readonly completedMs: number }>(list: readonly T[]): T | undefined {
  return list.reduce<T | undefined>(
    (first, next) => (first === undefined || next.completedMs < first.completedMs ? next : first),
    undefined,
  );
}

function collectSends(attempts: readonly Line<'produce'>[]): Send[] {
  const writes = new Map<string, Line<'produce'>[]>();
  for (const attempt of attempts) {
    listOf(writes, `${logOf(attempt)} ${attempt.values[0]}`).push(attempt);
  }
  return [...writes.values()].map((all) => {
    const first = all[0]!;
    return { log: logOf(first), values: first.values, attempts: all };
  });
}

function collectTransactions(
  prepares: readonly Line<'prepare'>[],
  ends: readonly Line<'end'>[],
): Map<string, Transaction> {
  const prepared = new Map<string, Line<'prepare'>[]>();
  const ended = new Map<string, Line<'end'>[]>();
  for (const prepare of prepares) listOf(prepared, prepare.transaction).push(prepare);
  for (const end of ends) listOf(ended, end.transaction).push(end);
  const transactions = new Map<string, Transaction>();
  for (const [id, all] of prepared) {
    const { others = [], moves = [] } = all[0]!;
    const parts: Part[] = [];
    const transaction = { id, parts, moves, prepares: all, ends: ended.get(id) ?? [] };
    for (const part of [all[0]!, ...others]) {
      parts.push({ log: logOf(part), values: part.values, key: part.key, transaction });
    }
    transactions.set(id, transaction);
  }
  return transactions;
}

function collectFinals(facts: Facts): FinalRead[] {
  const shown = new Map<string, Map<number, Place>>();
  const starts = new Map<string, number>();
  for (const read of facts.of('read')) {
    if (!read.last) continue;
    const key = `${read.node} ${logOf(read)}`;
    if (!shown.has(key)) shown.set(key, new Map());
    starts.set(key, Math.max(starts.get(key) ?? 0, read.startOffset ?? 0));
  }
  for (const { place, read } of facts.seen()) {
    if (read.last) shown.get(`${read.node} ${place.log}`)?.set(place.offset, place);
  }
  return facts.of('final').map((final) => {
    const { node, endOffset, line } = final;
    const log = logOf(final);
    const key = `${node} ${log}`;
    const startOffset = starts.get(key) ?? 0;
    return { log, node, line, startOffset, endOffset, shown: shown.get(key) ?? new Map() };
  });
}
