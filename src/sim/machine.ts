/**
 * The production state machine of data shards over rows in memory. What was applied reaches the
 * simulated store only when it is persisted; a crash sets the machine back to that, and it is
 * loaded from rows as after a restart (internals rule 6).
 */
import type { StateMachine } from '../../raft/ports.ts';
import type { Entry, EntryId, LogIndex, ShardId } from '../../raft/types.ts';
import type { DataShard } from '../broker/api.ts';
import type { ApplyResult } from '../broker/commands.ts';
import { createDataShard } from '../broker/data-shard.ts';
import { Effects, ShardRows } from './effects.ts';
import { expect } from './failure.ts';

export interface Applied {
  readonly entry: Entry;
  readonly result: ApplyResult;
  readonly effects: Effects;
  /** Over all rows of the shard after this entry. */
  readonly stateHash: number;
}

export interface MachineWatcher {
  onApply(shard: ShardId, applied: Applied): void;
  onPass(shard: ShardId): void;
}

/** A shard's whole state as of an index: what a checkpoint holds. */
export interface StateImage {
  readonly index: LogIndex;
  readonly rows: ShardRows;
}

interface Held {
  data: DataShard;
  rows: ShardRows;
  applied: LogIndex;
  persisted: StateImage;
  /** What was applied after `persisted`, in order. */
  journal: Effects[];
}

function held(shard: ShardId, image: StateImage): Held {
  const data = createDataShard(shard);
  data.load(image.rows.all());
  const rows = image.rows.copy();
  return { data, rows, applied: image.index, persisted: image, journal: [] };
}

export class SimMachine implements StateMachine {
  readonly #held = new Map<ShardId, Held>();
  readonly #staged = new Map<ShardId, StateImage>();
  readonly #watcher: MachineWatcher;

  constructor(watcher: MachineWatcher) {
    this.#watcher = watcher;
  }

  #get(shard: ShardId): Held {
    let found = this.#held.get(shard);
    if (found === undefined) {
      found = held(shard, { index: 0, rows: new ShardRows() });
      this.#held.set(shard, found);
    }
    return found;
  }

  data(shard: ShardId): DataShard {
    return this.#get(shard).data;
  }

  appliedIndex(shard: ShardId): LogIndex {
    return this.#get(shard).applied;
  }

  persistedIndex(shard: ShardId): LogIndex {
    return this.#get(shard).persisted.index;
  }

  apply(shard: ShardId, entry: Entry): ApplyResult {
    const state = this.#get(shard);
    const expected = state.applied + 1;
    expect(entry.index === expected, 'apply-in-order', () => `${entry.index} != ${expected}`);
    const effects = new Effects();
    const result = state.data.apply(entry, effects);
    state.applied = entry.index;
    state.rows.apply(effects);
    state.journal.push(effects);
    this.#watcher.onApply(shard, { entry, result, effects, stateHash: state.rows.hash });
    return result;
  }

  applied(shard: ShardId, through: EntryId): void {
    const applied = this.appliedIndex(shard);
    expect(through.index === applied, 'apply-reported', () => `${through.index} != ${applied}`);
    this.#watcher.onPass(shard);
  }

  /** The rows reach the disk, never ahead of the node's own durable log (internals rule 6). */
  persist(shard: ShardId, durable: LogIndex): void {
    const state = this.#get(shard);
    const { index, rows } = state.persisted;
    const through = Math.min(state.applied, durable);
    if (through <= index) return;
    for (const effects of state.journal.splice(0, through - index)) rows.apply(effects);
    state.persisted = { index: through, rows };
  }

  /** What a checkpoint taken now would hold. */
  image(shard: ShardId): StateImage {
    const { applied, rows } = this.#get(shard);
    return { index: applied, rows: rows.copy() };
  }

  /** A snapshot has arrived whole: `restore` takes it. */
  stage(shard: ShardId, image: StateImage): void {
    this.#staged.set(shard, image);
  }

  /** The staged snapshot takes the place of the shard's state, in memory and on disk alike. */
  restore(shard: ShardId, { index }: EntryId): void {
    const image = this.#staged.get(shard);
    const isIt = image?.index === index && index > this.appliedIndex(shard);
    expect(isIt, 'restore-forward', () => `shard ${shard} to ${index}, staged ${image?.index}`);
    this.#staged.delete(shard);
    this.#held.set(shard, held(shard, { index, rows: image!.rows.copy() }));
  }

  forget(shard: ShardId): void {
    this.#held.delete(shard);
  }

  crash(): void {
    this.#staged.clear();
    for (const [shard, { persisted }] of this.#held) this.#held.set(shard, held(shard, persisted));
  }
}
