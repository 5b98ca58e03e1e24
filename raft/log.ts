/**
 * The log as the core sees it: where it starts, which term every index has, and a window of recent
 * entries. Everything below the window is the store's; the core never waits for it.
 *
 *   logStart      window first                  last
 *      |  on disk only  |  in memory, maybe on disk |
 *                  applied <= commit <= last
 *                  durable <= written <= handed <= last
 *
 * `commit` and `durable` are not ordered: a majority elsewhere may commit what is still on its way
 * to this disk.
 */
import { strict as assert } from 'node:assert';
import { TermStarts } from './term-starts.ts';
import type { Entry, EntryId, LogIndex, ShardTimeMs, Term, TermStart } from './types.ts';

/** What an entry costs beside its bytes (objects, record envelope): bounds count it too. */
export const ENTRY_OVERHEAD_BYTES = 64;

export function entryBytes(entry: Entry): number {
  return entry.head.length + entry.payload.length + ENTRY_OVERHEAD_BYTES;
}

/**
 * Entries are views of what the network or the disk delivered, and a small one keeps all of that
 * buffer in memory: so many times its bound may the window hold with them.
 */
const HELD_FACTOR = 2;

/** Memory that goes when the entry goes, if the one before it went already. */
function heldBytes(entry: Entry, before: Entry | undefined): number {
  const { head, payload } = entry;
  let bytes = ENTRY_OVERHEAD_BYTES;
  if (head.length > 0 && head.buffer !== before?.head.buffer) bytes += head.buffer.byteLength;
  if (payload.length === 0 || payload.buffer === head.buffer) return bytes;
  if (payload.buffer !== before?.payload.buffer) bytes += payload.buffer.byteLength;
  return bytes;
}

/** Evicted slots at the front of the window are given back in steps of this. */
const WINDOW_COMPACT_SLOTS = 1024;

export interface LogOrigin {
  readonly logStart: EntryId;
  readonly termStarts: readonly TermStart[];
  readonly lastIndex: LogIndex;
  /** At least what is applied; everything recovered is durable. */
  readonly commit: LogIndex;
  readonly applied: LogIndex;
}

export class RaftLog {
  #start: EntryId;
  #terms: TermStarts;
  #last: LogIndex;
  #handed: LogIndex;
  #written: LogIndex;
  #durable: LogIndex;
  #commit: LogIndex;
  #applied: LogIndex;
  #lastTimeMs: ShardTimeMs | undefined;
  /** Slots before `#head` are free; slot `#head` holds index `#windowFirst`. */
  #slots: (Entry | undefined)[] = [];
  /** `heldBytes` of each slot. */
  #held: number[] = [];
  #head = 0;
  #windowFirst: LogIndex;
  #windowBytes = 0;
  #windowHeldBytes = 0;

  constructor(origin: LogOrigin) {
    this.#start = origin.logStart;
    this.#terms = new TermStarts(origin.logStart, origin.termStarts);
    this.#last = origin.lastIndex;
    this.#handed = origin.lastIndex;
    this.#written = origin.lastIndex;
    this.#durable = origin.lastIndex;
    this.#commit = origin.commit;
    this.#applied = origin.applied;
    this.#windowFirst = origin.lastIndex + 1;
    this.assertPointers();
  }

  get start(): EntryId {
    return this.#start;
  }
  get lastIndex(): LogIndex {
    return this.#last;
  }
  get lastTerm(): Term {
    return this.#terms.lastTerm;
  }
  /** Last index given to the store. */
  get handed(): LogIndex {
    return this.#handed;
  }
  get written(): LogIndex {
    return this.#written;
  }
  get durable(): LogIndex {
    return this.#durable;
  }
  get commit(): LogIndex {
    return this.#commit;
  }
  get applied(): LogIndex {
    return this.#applied;
  }
  get windowFirst(): LogIndex {
    return this.#windowFirst;
  }
  get windowBytes(): number {
    return this.#windowBytes;
  }
  /** Time of the last entry; undefined after a restart until somebody has read that entry. */
  get lastTimeMs(): ShardTimeMs | undefined {
    return this.#lastTimeMs;
  }
  get termStarts(): readonly TermStart[] {
    return this.#terms.marks;
  }

  /** The term at `index`; undefined outside [start, last]. */
  term(index: LogIndex): Term | undefined {
    if (index < this.#start.index || index > this.#last) return undefined;
    return this.#terms.at(index);
  }

  matches(index: LogIndex, term: Term): boolean {
    return this.term(index) === term;
  }

  /** The vote rule's order: last term first, then length (paper 5.4.1). */
  isUpToDate(lastTerm: Term, lastIndex: LogIndex): boolean {
    const own = this.#terms.lastTerm;
    return lastTerm > own || (lastTerm === own && lastIndex >= this.#last);
  }

  /** First index of the term that `index` has, not below the log's start. */
  firstIndexOfTermAt(index: LogIndex): LogIndex {
    return Math.max(this.#terms.startOf(index), this.#start.index + 1);
  }

  /** The largest index <= `limit` with a term <= `term`: where a conflicting follower may agree. */
  lastIndexWithTermAtMost(term: Term, limit: LogIndex): LogIndex {
    return this.#terms.lastIndexWithTermAtMost(term, Math.min(limit, this.#last));
  }

  lastTimeWas(timeMs: ShardTimeMs): void {
    this.#lastTimeMs = Math.max(this.#lastTimeMs ?? 0, timeMs);
  }

  append(entry: Entry): void {
    assert(entry.index === this.#last + 1, 'entries are contiguous');
    assert(entry.term >= this.#terms.lastTerm, 'terms never fall along a log');
    this.#terms.append(entry.index, entry.term);
    const held = heldBytes(entry, this.#slots.at(-1));
    this.#slots.push(entry);
    this.#held.push(held);
    this.#windowBytes += entryBytes(entry);
    this.#windowHeldBytes += held;
    this.#last = entry.index;
    this.#lastTimeMs = entry.timeMs;
  }

  /**
   * Forgets entries >= `index`. Only a leader's conflicting entry may cause it, and that entry is
   * appended at once, so that the store's rule (order in the file decides) voids the same suffix.
   */
  truncateFrom(index: LogIndex): void {
    assert(index > this.#commit, 'committed entries are never truncated');
    assert(index <= this.#last, 'truncation removes something');
    while (this.#last >= index && this.#last >= this.#windowFirst) {
      this.#windowBytes -= entryBytes(this.#slots.pop()!);
      this.#windowHeldBytes -= this.#held.pop()!;
      this.#last--;
    }
    this.#last = index - 1;
    if (this.#windowFirst > index) this.#clearWindow();
    this.#terms.truncateFrom(index);
    this.#handed = Math.min(this.#handed, this.#last);
    this.#written = Math.min(this.#written, this.#last);
    this.#durable = Math.min(this.#durable, this.#last);
  }

  #clearWindow(): void {
    this.#slots = [];
    this.#held = [];
    this.#head = 0;
    this.#windowBytes = 0;
    this.#windowHeldBytes = 0;
    this.#windowFirst = this.#last + 1;
  }

  entry(index: LogIndex): Entry | undefined {
    if (index < this.#windowFirst || index > this.#last) return undefined;
    return this.#slots[this.#head + index - this.#windowFirst];
  }

  /** Entries from `from` to at most `to`: at least one, then as many as fit. Empty = not here. */
  slice(from: LogIndex, to: LogIndex, maxBytes: number): readonly Entry[] {
    const last = Math.min(to, this.#last);
    if (from < this.#windowFirst || from > last) return [];
    const base = this.#head - this.#windowFirst;
    let bytes = entryBytes(this.#slots[base + from]!);
    let end = from;
    while (end < last) {
      bytes += entryBytes(this.#slots[base + end + 1]!);
      if (bytes > maxBytes) break;
      end++;
    }
    return this.#slots.slice(base + from, base + end + 1) as Entry[];
  }

  handedTo(index: LogIndex): void {
    assert(index >= this.#handed && index <= this.#last, 'handed only grows, within the log');
    this.#handed = index;
  }

  writtenTo(index: LogIndex): void {
    assert(index <= this.#handed, 'only what the store was given can be written');
    this.#written = Math.max(this.#written, index);
  }

  durableTo(index: LogIndex): void {
    this.writtenTo(index);
    this.#durable = Math.max(this.#durable, index);
  }

  commitTo(index: LogIndex): void {
    assert(index >= this.#commit, 'the commit index never falls');
    assert(index <= this.#last, 'only entries that are here can be known committed');
    this.#commit = index;
  }

  appliedTo(index: LogIndex): void {
    assert(index >= this.#applied, 'the applied index never falls');
    assert(index <= this.#commit, 'only committed entries are applied');
    this.#applied = index;
  }

  /**
   * Gives memory back: never an entry that is not yet durable. One that is committed and not yet
   * applied goes only when apply is so far behind that memory would grow with it: it is read from
   * the store then.
   */
  evict(maxBytes: number, maxUnappliedBytes: number): void {
    this.#evictThrough(Math.min(this.#durable, this.#applied), maxBytes);
    this.#evictThrough(Math.min(this.#durable, this.#commit), maxUnappliedBytes);
    this.#compactSlots();
  }

  #evictThrough(keep: LogIndex, maxBytes: number): void {
    const maxHeld = HELD_FACTOR * maxBytes;
    while (this.#windowFirst <= keep) {
      if (this.#windowBytes <= maxBytes && this.#windowHeldBytes <= maxHeld) break;
      this.#dropFirst();
    }
  }

  #dropFirst(): void {
    this.#windowBytes -= entryBytes(this.#slots[this.#head]!);
    this.#windowHeldBytes -= this.#held[this.#head]!;
    this.#slots[this.#head] = undefined;
    this.#head++;
    this.#windowFirst++;
  }

  #compactSlots(): void {
    if (this.#head < WINDOW_COMPACT_SLOTS || this.#head * 2 < this.#slots.length) return;
    this.#slots = this.#slots.slice(this.#head);
    this.#held = this.#held.slice(this.#head);
    this.#head = 0;
  }

  /** Retention: entries up to and including `start` are gone. */
  setStart(start: EntryId): void {
    assert(start.index >= this.#start.index, 'the start of a log only rises');
    assert(start.index <= this.#applied, 'only applied entries may go');
    assert(start.index <= this.#durable, 'only durable entries may go');
    assert(this.matches(start.index, start.term), 'the new start names an entry of this log');
    this.#start = start;
    while (this.#windowFirst <= start.index && this.#windowFirst <= this.#last) this.#dropFirst();
    this.#compactSlots();
    this.#terms.startAt(start);
  }

  /** A snapshot at an entry of this log: commit and apply need not walk there. */
  jumpTo(id: EntryId): void {
    assert(id.index > this.#applied, 'a snapshot brings something new');
    this.#commit = Math.max(this.#commit, id.index);
    this.#applied = id.index;
    this.setStart(id);
  }

  /** A snapshot in place of this log. Nothing of it is durable yet, nor is anything else. */
  replaceBy(id: EntryId, timeMs: ShardTimeMs): void {
    assert(id.index > this.#commit, 'a snapshot brings something new');
    this.#start = id;
    this.#terms = new TermStarts(id, []);
    this.#last = id.index;
    this.#handed = id.index;
    this.#written = 0;
    this.#durable = 0;
    this.#commit = id.index;
    this.#applied = id.index;
    this.#lastTimeMs = timeMs;
    this.#clearWindow();
  }

  /** The pointer chain; called at every `ready()`, in production too. */
  assertPointers(): void {
    assert(this.#start.index <= this.#applied, 'start <= applied');
    assert(this.#applied <= this.#commit, 'applied <= commit');
    assert(this.#commit <= this.#last, 'commit <= last');
    assert(this.#durable <= this.#written, 'durable <= written');
    assert(this.#written <= this.#handed, 'written <= handed');
    assert(this.#handed <= this.#last, 'handed <= last');
    const slots = this.#slots.length - this.#head;
    assert(this.#windowFirst + slots === this.#last + 1, 'the window ends at the last entry');
  }
}
