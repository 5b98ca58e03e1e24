/** What one shard's log holds: the model that a real log is compared with. */
import type { LogRecord } from '../../raft/ports.ts';
import {
  type Entry,
  EntryType,
  type LogIndex,
  type RecoveredShard,
  type ShardId,
  type ShardState,
  type TermStart,
} from '../../raft/types.ts';
import { expect } from './failure.ts';

/** One shard's log as a reader of the file would see it. */
export class ShardImage {
  state: ShardState;
  /** Slot i holds index `logStart + 1 + i` as of `base`. */
  entries: Entry[] = [];
  base: LogIndex;

  constructor(state: ShardState) {
    this.state = state;
    this.base = state.logStart.index;
  }

  get lastIndex(): LogIndex {
    return this.base + this.entries.length;
  }

  entry(index: LogIndex): Entry | undefined {
    return index <= this.base ? undefined : this.entries[index - this.base - 1];
  }

  apply(record: LogRecord): void {
    if (record.kind === 'state') this.#setState(record.state);
    else if (record.kind === 'entry') this.#setEntry(record.entry);
    else if (record.kind === 'reset') this.#reset(record.state);
    else expect(record.kind === 'repair', 'log-record', () => `${record.kind} of a held shard`);
  }

  #reset(state: ShardState): void {
    this.state = state;
    this.base = state.logStart.index;
    this.entries = [];
  }

  #setState(state: ShardState): void {
    this.state = state;
    const gone = state.logStart.index - this.base;
    if (gone <= 0) return;
    this.entries.splice(0, gone);
    this.base = state.logStart.index;
  }

  #setEntry(entry: Entry): void {
    const at = entry.index - this.base - 1;
    expect(at >= 0 && at <= this.entries.length, 'log-contiguous', () => `index ${entry.index}`);
    this.entries.length = at;
    this.entries.push(entry);
  }

  copy(): ShardImage {
    const copy = new ShardImage(this.state);
    copy.base = this.base;
    copy.entries = this.entries.slice();
    return copy;
  }

  recovered(shard: ShardId): RecoveredShard {
    const termStarts: TermStart[] = [];
    for (const { term, index } of this.entries) {
      if (termStarts.at(-1)?.term !== term) termStarts.push({ term, index });
    }
    const configEntries = this.entries.filter(({ type }) => type === EntryType.config);
    return { shard, state: this.state, lastIndex: this.lastIndex, termStarts, configEntries };
  }
}

/** Equal texts mean that a log which was opened holds what the model does. */
export function factsOf({ state, lastIndex, termStarts }: RecoveredShard): string {
  return JSON.stringify([state, lastIndex, termStarts], sortedFields);
}

/** The order of an object's fields says nothing. */
function sortedFields(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
