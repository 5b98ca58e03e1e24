/**
 * Dedup by business keys: who sends a key again within the window of its topic, whoever leads by
 * then, gets the first answer. One row per request that brought keys; when its window ends is fixed
 * as it is stored, by shard time.
 */
import type { Entry, LogIndex, ShardTimeMs, Term } from '../../raft/types.ts';
import { ByteReader, ByteWriter, readVersioned } from './bytes.ts';
import type { FirstAnswer, QueueId, Refusal } from './commands.ts';
import { type Due, DueHeap } from './due-heap.ts';
import { MAX_FORGOTTEN_PER_ENTRY } from './limits.ts';
import type { StateRow, StateWriter } from './state-port.ts';

export interface KeyedRequest {
  readonly queueId: QueueId;
  readonly count: number;
  /** One for all messages, or one per message; none twice. */
  readonly keys: readonly string[];
  readonly windowMs: number;
}

/** A request that brought keys, until it is forgotten. `dueAtMs` = the end of its window. */
interface StoredKeys extends Due {
  readonly id: { readonly index: LogIndex; readonly term: Term };
  readonly queueId: QueueId;
  readonly baseOffset: number | undefined;
  readonly keys: readonly string[];
}

interface Found {
  readonly stored: StoredKeys;
  /** Of the message in its request. */
  readonly position: number;
}

export type KeysVerdict =
  | { readonly type: 'new' }
  | { readonly type: 'repeat'; readonly first: FirstAnswer }
  | { readonly type: 'refused'; readonly refusal: Refusal };

const VERSION = 1;
const NEW: KeysVerdict = Object.freeze({ type: 'new' });

export class DedupKeys {
  readonly #queues = new Map<QueueId, Map<string, Found>>();
  readonly #requests = new Map<LogIndex, StoredKeys>();
  readonly #byEnd = new DueHeap<StoredKeys>();
  #count = 0;

  /** Keys, those too whose window has ended and that are not forgotten yet. */
  get count(): number {
    return this.#count;
  }

  /** When the first window ends; undefined = nothing is kept. */
  get nextEndMs(): ShardTimeMs | undefined {
    return this.#byEnd.first()?.dueAtMs;
  }

  /** Is all of it new, or all of it a repetition of consecutive messages of one request? */
  check(
    { queueId, keys }: Pick<KeyedRequest, 'queueId' | 'keys'>,
    nowMs: ShardTimeMs,
  ): KeysVerdict {
    const found = keys.map((key) => this.#find(queueId, key, nowMs));
    const at = found.findIndex((one) => one !== undefined);
    if (at < 0) return NEW;
    const first = found[at]!;
    const isRepeat = found.every((one, i) => {
      return one?.stored === first.stored && one.position === first.position + i - at;
    });
    if (at === 0 && isRepeat) return { type: 'repeat', first: answerOf(first) };
    const known = answerOf(first);
    return { type: 'refused', refusal: { reason: 'DEDUP_KEYS_MIXED', key: keys[at]!, known } };
  }

  /** Remembers what `check` called new, and forgets as much as it adds, if that is over. */
  accept(
    request: KeyedRequest,
    baseOffset: number | undefined,
    entry: Entry,
    out: StateWriter,
  ): void {
    const { queueId, keys, windowMs } = request;
    this.#forget(entry.timeMs, keys.length + MAX_FORGOTTEN_PER_ENTRY, out);
    const id = { index: entry.index, term: entry.term };
    const dueAtMs = entry.timeMs + windowMs;
    const stored = { id, queueId, baseOffset, keys, dueAtMs, heapPosition: -1 };
    this.#keep(stored);
    out.put('dedup-key', rowKey(id.index), encode(stored));
  }

  /** Nothing of the entry at `index` will ever come: its keys are free again. */
  dropRequest(index: LogIndex, out: StateWriter): void {
    const stored = this.#requests.get(index);
    if (stored !== undefined) this.#drop(stored, out);
  }

  dropQueue(queueId: QueueId, out: StateWriter): void {
    for (const stored of this.#requests.values()) {
      if (stored.queueId === queueId) this.#drop(stored, out);
    }
  }

  load(rows: readonly StateRow[]): void {
    const found = rows.map(read);
    // A key that came again after its window belongs to the later request.
    for (const stored of found.sort((a, b) => a.id.index - b.id.index)) this.#keep(stored);
  }

  #find(queueId: QueueId, key: string, nowMs: ShardTimeMs): Found | undefined {
    const found = this.#queues.get(queueId)?.get(key);
    return found !== undefined && found.stored.dueAtMs > nowMs ? found : undefined;
  }

  #keep(stored: StoredKeys): void {
    const { id, keys, queueId } = stored;
    let known = this.#queues.get(queueId);
    if (known === undefined) {
      known = new Map();
      this.#queues.set(queueId, known);
    }
    for (const [position, key] of keys.entries()) known.set(key, { stored, position });
    this.#requests.set(id.index, stored);
    this.#byEnd.add(stored);
    this.#count += keys.length;
  }

  #forget(nowMs: ShardTimeMs, limit: number, out: StateWriter): void {
    for (const stored of this.#byEnd.due(nowMs, limit)) this.#drop(stored, out);
  }

  #drop(stored: StoredKeys, out: StateWriter): void {
    const known = this.#queues.get(stored.queueId)!;
    for (const key of stored.keys) {
      if (known.get(key)?.stored === stored) known.delete(key);
    }
    if (known.size === 0) this.#queues.delete(stored.queueId);
    this.#requests.delete(stored.id.index);
    this.#byEnd.remove(stored);
    this.#count -= stored.keys.length;
    out.put('dedup-key', rowKey(stored.id.index), undefined);
  }
}

function answerOf({ stored, position }: Found): FirstAnswer {
  const { id, baseOffset } = stored;
  const offset = baseOffset === undefined ? undefined : baseOffset + position;
  return { at: { term: id.term, index: id.index }, position, baseOffset: offset };
}

function rowKey(index: LogIndex): Uint8Array {
  return new ByteWriter(8).u64be(index).finish();
}

/** Row: version, term, queueId, end of the window, 0 or base offset + 1, keys. */
function encode({ id, queueId, dueAtMs, baseOffset, keys }: StoredKeys): Uint8Array {
  const row = new ByteWriter(64).u8(VERSION).uint(id.term).uint(queueId).uint(dueAtMs);
  row.uint(baseOffset === undefined ? 0 : baseOffset + 1).uint(keys.length);
  for (const key of keys) row.text(key);
  return row.finish();
}

function read({ key, value }: StateRow): StoredKeys {
  const index = new ByteReader(key).u64be();
  const from = readVersioned(value, VERSION);
  const term = from.uint();
  const queueId = from.uint();
  const dueAtMs = from.uint();
  const base = from.uint();
  const keys = Array.from({ length: from.listLength() }, () => from.text());
  from.expectEnd();
  const baseOffset = base === 0 ? undefined : base - 1;
  return { id: { index, term }, queueId, baseOffset, keys, dueAtMs, heapPosition: -1 };
}
