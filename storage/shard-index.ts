/**
 * Where one shard's live entries lie: a sparse index in memory. An appended (shard, i) voids every
 * earlier record with index >= i (internals rule 1), so live entries lie in index order.
 *
 * Invariants: samples ascend in index and in file position. A sample exists at the first entry of
 * the shard in each segment and at every entry that voided others. Hence between two neighbouring
 * samples the file holds exactly one record for each index, in order, and a reader that jumps to
 * the next sample when its index is due never meets a voided record.
 */
import assert from 'node:assert';
import type {
  Entry,
  EntryId,
  LogIndex,
  RecoveredShard,
  ShardId,
  ShardState,
  Term,
  TermStart,
} from '../raft/types.ts';
import { EntryType } from '../raft/types.ts';
import { type Place, Repairs } from './repairs.ts';

/**
 * Distance in the file after which an entry is sampled: 24 bytes of memory each. Small enough that
 * a reader of one shard jumps over the large records of others.
 */
const SAMPLE_SPACING_BYTES = 64 * 1024;
const MAX_CURSORS = 8;

export type Location = Place;

/** Entries `index` (at this location) up to, not including, `endIndex` follow in one segment. */
export interface Run extends Location {
  readonly index: LogIndex;
  readonly endIndex: LogIndex;
  /** One repaired entry, away from its neighbours. */
  readonly repair: boolean;
}

/** One shard's part of one sealed segment (the content of a sidecar). */
export interface SegmentRun {
  readonly samples: readonly (readonly [index: LogIndex, position: number])[];
  readonly termStarts: readonly TermStart[];
  readonly configs: readonly Entry[];
  /** Entries of the run whose bodies were found damaged and not repaired in this segment. */
  readonly damaged: readonly LogIndex[];
}

export class ShardIndex {
  readonly shard: ShardId;
  /** Rises when entries are voided: a read that saw it change starts again. */
  generation = 0;
  /** The log start of the last state record that is known to be on the disk. */
  durableLogStart: LogIndex = 0;
  /** The segment in which the shard was reset or, after its head, created: none before counts. */
  bornIn = 0;
  private current: ShardState;
  private last: LogIndex;
  private recovering: boolean;
  private terms: TermStart[] = [];
  private configs: Entry[] = [];
  private readonly damaged = new Set<LogIndex>();
  private readonly repairs = new Repairs();
  private indexes: LogIndex[] = [];
  private sequences: number[] = [];
  private positions: number[] = [];
  private readonly cursors = new Map<LogIndex, Location>();

  constructor(shard: ShardId, state: ShardState, recovering = false) {
    this.shard = shard;
    this.current = state;
    this.last = state.logStart.index;
    this.recovering = recovering;
  }

  get state(): ShardState {
    return this.current;
  }

  /** Records in front of those to come are lost: entries are taken no more. */
  get isSuspect(): boolean {
    return this.current.suspect === true;
  }

  get firstIndex(): LogIndex {
    return this.current.logStart.index + 1;
  }

  get lastIndex(): LogIndex {
    return this.last;
  }

  /** The segment that the shard's first entry lies in; undefined while its log is empty. */
  get firstSequence(): number | undefined {
    return this.last < this.firstIndex ? undefined : this.locate(this.firstIndex).sequence;
  }

  /** Takes note of an entry that lies, or is about to lie, at this place behind all others. */
  append(entry: Entry, at: Location): void {
    if (this.isSuspect) return;
    this.place(entry, at);
    if (entry.type === EntryType.config) this.configs.push(detached(entry));
  }

  /** An entry whose header is intact and whose body is not. */
  appendDamaged(id: EntryId, at: Location): void {
    if (this.isSuspect) return;
    this.place(id, at);
    this.damaged.add(id.index);
  }

  /** The entry's bytes lie here as well, whatever became of the first ones. */
  repair({ index, term }: EntryId, at: Location): void {
    const held = index >= (this.indexes[0] ?? Number.POSITIVE_INFINITY) && index <= this.last;
    if (this.isSuspect || !held || this.termAt(index) !== term) return;
    this.repairs.set(index, at);
    this.damaged.delete(index);
  }

  private place({ index, term }: EntryId, at: Location): void {
    assert(index >= 1, 'entries count from 1');
    const voids = index <= this.last;
    if (voids) this.voidFrom(index);
    if (index !== this.last + 1) this.acceptGap(index);
    assert(term >= this.lastTerm(), `shard ${this.shard}: term falls at index ${index}`);
    if (term !== this.terms.at(-1)?.term) this.terms.push({ term, index });
    this.last = index;
    if (voids || this.sampleDue(at)) this.addSample(index, at);
  }

  /** Replaces the shard's durable facts; a higher log start forgets what lies before it. */
  setState(state: ShardState): void {
    const start = state.logStart.index;
    const before = this.current.logStart.index;
    assert(start >= before, 'the log start never falls');
    assert.equal(state.replica, this.current.replica, 'another replica of the shard');
    if (start > this.last) {
      this.clear();
      this.last = start;
    } else if (start > before && !this.recovering) {
      assert.equal(this.termAt(start), state.logStart.term, 'log start is not in this log');
    }
    this.current = this.isSuspect ? { ...state, suspect: true } : state;
    if (start > before && !this.recovering) this.forgetBelow(start);
  }

  /** Voids every entry: the log starts anew after the state's log start. */
  reset(state: ShardState, sequence: number): void {
    this.clear();
    this.last = state.logStart.index;
    this.current = this.isSuspect ? { ...state, suspect: true } : state;
    this.bornIn = sequence;
  }

  /** The shard leaves: who still reads it finds nothing. */
  retire(): void {
    this.clear();
    this.last = this.current.logStart.index;
  }

  /** Records of this log are lost from here on. What was found so far is kept, and no more. */
  freeze(): void {
    this.current = { ...this.current, suspect: true };
  }

  /**
   * Adds what a sidecar says about one sealed segment, as if its records were appended. The run may
   * lack entries at or below `logStart`, the shard's log start when the segment was sealed.
   */
  appendRun(run: SegmentRun, sequence: number, logStart: LogIndex, lastIndex: LogIndex): void {
    if (this.isSuspect) return;
    const first = run.samples[0]?.[0];
    if (first === undefined) return;
    if (first <= logStart + 1) this.restartAt(first);
    else if (first <= this.last) this.voidFrom(first);
    if (first !== this.last + 1) this.acceptGap(first);
    for (const { term, index } of run.termStarts) {
      assert(term >= this.lastTerm(), `shard ${this.shard}: term falls at index ${index}`);
      if (term !== this.terms.at(-1)?.term) this.terms.push({ term, index });
    }
    this.configs.push(...run.configs);
    for (const index of run.damaged) this.damaged.add(index);
    this.last = lastIndex;
    for (const [index, position] of run.samples) this.addSample(index, { sequence, position });
  }

  /** What `appendRun` needs later; only for the segment that holds the end of the log. */
  segmentRun(sequence: number): SegmentRun | undefined {
    let from = this.indexes.length;
    while (from > 0 && this.sequences[from - 1] === sequence) from -= 1;
    if (from === this.indexes.length) return undefined;
    const first = this.indexes[from]!;
    const samples = this.indexes
      .slice(from)
      .map((index, i) => [index, this.positions[from + i]!] as const);
    const within = this.terms.filter((start) => start.index > first);
    return {
      samples,
      termStarts: [{ term: this.termAt(first), index: first }, ...within],
      configs: this.configs.filter((entry) => entry.index >= first),
      damaged: [...this.damaged].filter((index) => index >= first),
    };
  }

  /** Repairs that lie in this segment. */
  repairsIn(sequence: number): readonly (readonly [index: LogIndex, position: number])[] {
    return this.repairs.within(sequence);
  }

  /** What a sidecar says: the term was compared when the repair was written. */
  repairAt(index: LogIndex, at: Location): void {
    this.repair({ index, term: this.termAt(index) }, at);
  }

  /** The nearest known place at or before `index`, which must be stored. */
  locate(index: LogIndex): Run {
    assert(index <= this.last && index >= (this.indexes[0] ?? Number.POSITIVE_INFINITY));
    const repaired = this.repairs.at(index);
    if (repaired !== undefined) {
      const { sequence, position } = repaired;
      return { sequence, position, index, endIndex: index + 1, repair: true };
    }
    const at = this.sampleAtOrBefore(index);
    const endIndex = Math.min(this.indexes[at + 1] ?? this.last + 1, this.repairs.after(index));
    const cursor = this.indexes[at] === index ? undefined : this.cursors.get(index);
    return {
      sequence: cursor?.sequence ?? this.sequences[at]!,
      position: cursor?.position ?? this.positions[at]!,
      index: cursor === undefined ? this.indexes[at]! : index,
      endIndex,
      repair: false,
    };
  }

  /**
   * A reader will probably ask for `index` next (it may be yet to come); it lies at or after this
   * place, unless it has a sample of its own.
   */
  remember(index: LogIndex, at: Location): void {
    const oldest = this.cursors.keys().next();
    if (this.cursors.size >= MAX_CURSORS && !oldest.done) this.cursors.delete(oldest.value);
    this.cursors.set(index, at);
  }

  /**
   * The highest live index that may lie in `sequence` or an older segment. What is below the log
   * start counts as well: the state record that moved it may not be on the disk yet.
   */
  lastIndexThrough(sequence: number): LogIndex {
    let at = this.sequences.length;
    while (at > 0 && this.sequences[at - 1]! > sequence) at -= 1;
    if (at === 0) return this.current.logStart.index;
    return at === this.sequences.length ? this.last : this.indexes[at]! - 1;
  }

  /**
   * Ends recovery. Gives the first index that the log lacks, if any. After a loss (`lossy`) such a
   * shard is suspect, and empty.
   */
  finishRecovery(lossy: boolean): LogIndex | undefined {
    const start = this.current.logStart.index;
    const stored = this.indexes[0];
    if (this.last > start && (stored === undefined || stored > start + 1)) {
      if (!lossy) return start + 1;
      this.freeze();
      this.clear();
      this.last = start;
    }
    if (this.isSuspect) this.lowerCommit();
    this.recovering = false;
    this.durableLogStart = start;
    this.forgetBelow(start);
    return undefined;
  }

  recovered(): RecoveredShard {
    return {
      shard: this.shard,
      state: this.current,
      lastIndex: this.last,
      termStarts: this.terms.slice(),
      configEntries: this.configs.slice(),
      ...(this.damaged.size === 0 ? {} : { damaged: this.damagedEntries() }),
    };
  }

  idAt(index: LogIndex): EntryId {
    return { index, term: this.termAt(index) };
  }

  damagedEntries(): readonly EntryId[] {
    return [...this.damaged].sort((a, b) => a - b).map((index) => this.idAt(index));
  }

  private lowerCommit(): void {
    const { hardState } = this.current;
    const commit = Math.min(hardState.commit, this.last);
    this.current = { ...this.current, hardState: { ...hardState, commit } };
  }

  private lastTerm(): Term {
    return this.terms.at(-1)?.term ?? (this.recovering ? 0 : this.current.logStart.term);
  }

  private termAt(index: LogIndex): Term {
    let at = this.terms.length;
    while (at > 0 && this.terms[at - 1]!.index > index) at -= 1;
    return at === 0 ? this.current.logStart.term : this.terms[at - 1]!.term;
  }

  /** Segments before the first one may be gone: their entries must be below the log's start. */
  private acceptGap(index: LogIndex): void {
    const acceptable = this.recovering && this.indexes.length === 0 && index > this.last;
    assert(acceptable, `shard ${this.shard}: entry ${index} after ${this.last}`);
    this.last = index - 1;
  }

  /**
   * A sealed segment without live entries says where the log ended. Either it never had any, or
   * all of it was compacted: then what older segments hold may be void in any part. (Or nothing is
   * held: the segments with those entries were removed.)
   */
  endAt(lastIndex: LogIndex, logStart: LogIndex): void {
    assert(this.recovering);
    if (this.isSuspect) return;
    const nothingHeld = this.indexes.length === 0;
    if (lastIndex === logStart || nothingHeld) this.restartAt(lastIndex + 1);
    assert.equal(this.last, lastIndex);
  }

  /** Everything before `index` is compacted, whatever older segments still hold of it. */
  private restartAt(index: LogIndex): void {
    assert(this.recovering);
    this.clear();
    this.last = index - 1;
  }

  private voidFrom(index: LogIndex): void {
    assert(index > this.current.hardState.commit, `shard ${this.shard}: ${index} is committed`);
    assert(index > this.current.logStart.index, `shard ${this.shard}: ${index} is compacted`);
    this.dropFrom(index);
  }

  private dropFrom(index: LogIndex): void {
    this.generation += 1;
    this.cursors.clear();
    this.last = index - 1;
    while (this.terms.length > 0 && this.terms.at(-1)!.index >= index) this.terms.pop();
    while (this.configs.length > 0 && this.configs.at(-1)!.index >= index) this.configs.pop();
    this.forgetWhere((each) => each >= index);
    let keep = this.indexes.length;
    while (keep > 0 && this.indexes[keep - 1]! >= index) keep -= 1;
    this.indexes.length = keep;
    this.sequences.length = keep;
    this.positions.length = keep;
  }

  private clear(): void {
    this.generation += 1;
    this.cursors.clear();
    this.terms = [];
    this.configs = [];
    this.forgetWhere(() => true);
    this.indexes = [];
    this.sequences = [];
    this.positions = [];
  }

  private forgetBelow(start: LogIndex): void {
    this.configs = this.configs.filter((entry) => entry.index > start);
    this.forgetWhere((index) => index <= start);
    if (this.last === start) {
      this.clear();
      return;
    }
    const term = this.termAt(start + 1);
    const later = this.terms.filter((mark) => mark.index > start + 1);
    this.terms = [{ term, index: start + 1 }, ...later];
    const drop = this.indexes.length === 0 ? 0 : this.sampleAtOrBefore(start + 1);
    this.indexes.splice(0, drop);
    this.sequences.splice(0, drop);
    this.positions.splice(0, drop);
  }

  private forgetWhere(gone: (index: LogIndex) => boolean): void {
    this.repairs.forget(gone);
    for (const index of [...this.damaged]) if (gone(index)) this.damaged.delete(index);
  }

  private sampleDue(at: Location): boolean {
    if (this.sequences.at(-1) !== at.sequence) return true;
    return at.position - this.positions.at(-1)! >= SAMPLE_SPACING_BYTES;
  }

  private addSample(index: LogIndex, at: Location): void {
    this.indexes.push(index);
    this.sequences.push(at.sequence);
    this.positions.push(at.position);
  }

  private sampleAtOrBefore(index: LogIndex): number {
    let low = 0;
    let high = this.indexes.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.indexes[middle]! <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

/** A copy that does not keep a large read buffer alive. */
function detached(entry: Entry): Entry {
  return { ...entry, head: Uint8Array.from(entry.head), payload: Uint8Array.from(entry.payload) };
}
