/** A history, put the way the properties ask: what was sent, acknowledged and shown, and where. */
import type { EventOf, EventType, History, InQueue } from '../history.ts';
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

export interface Transaction {
  readonly id: string;
  readonly log: string;
  readonly values: readonly string[];
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
  readonly senders: ReadonlyMap<string, Send | Transaction>;
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
    this.senders = new Map(
      [...this.sends, ...this.transactions.values()].flatMap((write) =>
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

/** From when on it may have had an effect; undefined: every attempt was refused for certain. */
export function effectFromMs(
  attempts: readonly { readonly outcome: string; readonly invokedMs: number }[],
): number | undefined {
  const possible = attempts.filter(({ outcome }) => outcome !== 'fail');
  if (possible.length === 0) return undefined;
  return possible.reduce((ms, { invokedMs }) => Math.min(ms, invokedMs), Infinity);
}

export function isTransaction(write: Send | Transaction): write is Transaction {
  return 'ends' in write;
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
  return new Map(
    [...prepared].map(([id, all]) => {
      const { values } = all[0]!;
      const log = logOf(all[0]!);
      return [id, { id, log, values, prepares: all, ends: ended.get(id) ?? [] }];
    }),
  );
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
