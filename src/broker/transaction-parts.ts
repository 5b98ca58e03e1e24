/**
 * Parts of transactions over several queues, in the shards of them: stored, in no queue, and
 * kept until the coordinator's outcome comes. A part decides nothing and forgets nothing by itself.
 * Of those that were shown, where they stand is remembered for a while: the outcome may be told
 * again.
 */
import type { Entry, LogIndex, ShardTimeMs } from '../../raft/types.ts';
import type { PartView } from './api.ts';
import { BodyPlaces } from './body-places.ts';
import { ByteReader, ByteWriter, readVersioned } from './bytes.ts';
import { readChoice, readEntryId } from './command-fields.ts';
import { type ApplyResult, isAt, type QueueId, refused, type StoredAt } from './commands.ts';
import type { LateReferences } from './late-references.ts';
import { type DataShardLimits, MAX_FORGOTTEN_PER_ENTRY } from './limits.ts';
import { type Queues, writeRefusal } from './queues.ts';
import type { StateRow, StateWriter } from './state-port.ts';
import { readGlobalId, writeGlobalId } from './transaction-codec.ts';
import type { GlobalTransactionId, ShownPart, TransactionCommand } from './transaction-commands.ts';

type CommandOf<Type extends TransactionCommand['type']> = Extract<
  TransactionCommand,
  { type: Type }
>;

interface Part {
  readonly id: StoredAt;
  /** Where its bytes lie now. */
  at: StoredAt;
  readonly transaction: GlobalTransactionId;
  readonly part: number;
  readonly queueId: QueueId;
  readonly count: number;
  readonly bytes: number;
  readonly preparedAtMs: ShardTimeMs;
  /** undefined = not shown. */
  shown:
    | { readonly baseOffset: number; readonly index: LogIndex; readonly atMs: number }
    | undefined;
}

const VERSION = 2;

export class TransactionParts {
  /** Of those held back. */
  readonly places = new BodyPlaces<Part>('part');
  readonly #queues: Queues;
  readonly #references: LateReferences;
  readonly #limits: DataShardLimits;
  /** Held back, by log index, ascending (and so by time). */
  readonly #held = new Map<LogIndex, Part>();
  /** First shown first. */
  readonly #shown = new Map<LogIndex, Part>();
  readonly #byTransaction = new Map<string, Part[]>();

  constructor(queues: Queues, references: LateReferences, limits: DataShardLimits) {
    this.#queues = queues;
    this.#references = references;
    this.#limits = limits;
  }

  get count(): number {
    return this.#held.size;
  }

  heldIn(queueId: QueueId): number {
    let count = 0;
    for (const part of this.#held.values()) if (part.queueId === queueId) count += 1;
    return count;
  }

  get oldestAtMs(): ShardTimeMs | undefined {
    for (const { preparedAtMs } of this.#held.values()) return preparedAtMs;
    return undefined;
  }

  get(index: LogIndex): PartView | undefined {
    return this.#held.get(index) ?? this.#shown.get(index);
  }

  *heldSince(sinceMs: ShardTimeMs): Generator<GlobalTransactionId> {
    for (const { preparedAtMs, transaction } of this.#held.values()) {
      if (preparedAtMs > sinceMs) return;
      yield transaction;
    }
  }

  prepare(command: CommandOf<'preparePart'>, entry: Entry, out: StateWriter): ApplyResult {
    const { transaction, part, queueId, count } = command;
    const siblings = this.#byTransaction.get(globalText(transaction)) ?? [];
    const known = siblings.find((one) => one.part === part);
    if (known !== undefined) return { type: 'partPrepared', at: known.id };
    const queue = this.#queues.get(queueId);
    if (queue === undefined) return refused({ reason: 'QUEUE_NOT_OPEN', queueId });
    const refusal = writeRefusal(queue, { ...command, isHidden: true });
    if (refusal !== undefined) return refused(refusal);
    const id = { term: entry.term, index: entry.index };
    const bytes = entry.payload.length;
    const what = { transaction, part, queueId, count, bytes, preparedAtMs: entry.timeMs };
    const added: Part = { ...what, id, at: id, shown: undefined };
    this.#keep(added);
    this.places.add(added);
    putPart(added, out);
    return { type: 'partPrepared', at: id };
  }

  /** Its bytes lie in `entry`, too: from now on only there. */
  move(id: StoredAt, from: StoredAt, entry: Entry, out: StateWriter): ApplyResult {
    const moved = this.places.move(id, from, entry);
    if (moved !== undefined) putPart(moved, out);
    return { type: 'copied', moved: moved !== undefined };
  }

  /** Shows those that the outcome names, drops the rest. */
  resolve(command: CommandOf<'resolve'>, entry: Entry, out: StateWriter): ShownPart[] {
    const siblings = this.#byTransaction.get(globalText(command.transaction)) ?? [];
    for (const one of siblings.filter(({ shown }) => shown === undefined)) {
      const isGood = command.commits && command.parts.some((at) => isAt(one.id, at));
      if (isGood) this.#show(one, entry, out);
      else this.#drop(one, out);
    }
    this.#forgetShown(entry.timeMs, out);
    return siblings.flatMap(({ part, shown }) =>
      shown === undefined ? [] : [{ part, baseOffset: shown.baseOffset }],
    );
  }

  dropQueue(queueId: QueueId, out: StateWriter): void {
    for (const parts of [this.#held, this.#shown]) {
      for (const part of parts.values()) if (part.queueId === queueId) this.#drop(part, out);
    }
  }

  load(rows: readonly StateRow[]): void {
    const found = rows.map(readRow).sort((a, b) => a.id.index - b.id.index);
    const shown = found.filter((part) => part.shown !== undefined);
    const order = (part: Part) => part.shown?.index ?? 0;
    for (const part of found) if (part.shown === undefined) this.#keep(part);
    for (const part of shown.sort((a, b) => order(a) - order(b))) this.#keep(part);
    this.places.load(this.#held.values());
  }

  #keep(part: Part): void {
    (part.shown === undefined ? this.#held : this.#shown).set(part.id.index, part);
    const key = globalText(part.transaction);
    const siblings = this.#byTransaction.get(key);
    if (siblings === undefined) this.#byTransaction.set(key, [part]);
    else siblings.push(part);
  }

  #drop(part: Part, out: StateWriter): void {
    if (this.#held.delete(part.id.index)) this.places.remove(part);
    this.#shown.delete(part.id.index);
    const key = globalText(part.transaction);
    const left = this.#byTransaction.get(key)!.filter((one) => one !== part);
    if (left.length === 0) this.#byTransaction.delete(key);
    else this.#byTransaction.set(key, left);
    out.put('transaction-part', rowKey(part), undefined);
  }

  /** Closing a queue drops the parts for it, so those that are left have theirs open. */
  #show(part: Part, entry: Entry, out: StateWriter): void {
    const { id, at, queueId, count, bytes } = part;
    const batch = { at, count, bytes, storedAtMs: entry.timeMs };
    const baseOffset = this.#queues.append(this.#queues.get(queueId)!, batch, out);
    this.#references.add(queueId, baseOffset + count - 1, at.index, out);
    part.shown = { baseOffset, index: entry.index, atMs: entry.timeMs };
    this.#held.delete(id.index);
    this.places.remove(part);
    this.#shown.set(id.index, part);
    putPart(part, out);
  }

  #forgetShown(nowMs: ShardTimeMs, out: StateWriter): void {
    let left = MAX_FORGOTTEN_PER_ENTRY;
    for (const part of this.#shown.values()) {
      const isOld = part.shown!.atMs + this.#limits.endedTransactionKeepMs <= nowMs;
      const isFull = this.#shown.size > this.#limits.maxEndedTransactions;
      if (left === 0 || !(isOld || isFull)) return;
      left -= 1;
      this.#drop(part, out);
    }
  }
}

export function globalText({ shard, term, index }: GlobalTransactionId): string {
  return `${shard}.${term}.${index}`;
}

function rowKey({ id }: Part): Uint8Array {
  return new ByteWriter(8).u64be(id.index).finish();
}

function putPart(part: Part, out: StateWriter): void {
  const row = writeGlobalId(part.transaction, new ByteWriter(64).u8(VERSION));
  row.uint(part.id.term).uint(part.part).uint(part.queueId).uint(part.count).uint(part.bytes);
  row.uint(part.preparedAtMs).uint(part.at.term).uint(part.at.index);
  const { shown } = part;
  if (shown === undefined) row.u8(0);
  else row.u8(1).uint(shown.baseOffset).uint(shown.index).uint(shown.atMs);
  out.put('transaction-part', rowKey(part), row.finish());
}

function readRow({ key, value }: StateRow): Part {
  const index = new ByteReader(key).u64be();
  const from = readVersioned(value, VERSION);
  const transaction = readGlobalId(from);
  const part: Part = {
    transaction,
    id: { term: from.uint(), index },
    part: from.uint(),
    queueId: from.uint(),
    count: from.uint(),
    bytes: from.uint(),
    preparedAtMs: from.uint(),
    at: readEntryId(from),
    shown:
      readChoice(from, 2) === 0
        ? undefined
        : { baseOffset: from.uint(), index: from.uint(), atMs: from.uint() },
  };
  from.expectEnd();
  return part;
}
