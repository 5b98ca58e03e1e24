/**
 * A tiny replicated state machine: per shard the sequence of what was applied. A crash may set it
 * back to any state that was persisted before, as a lagging index would be.
 */
import type { StateMachine } from '../../raft/ports.ts';
import type { Entry, EntryId, LogIndex, ShardId } from '../../raft/types.ts';
import { expect } from './failure.ts';

export interface MachineWatcher {
  onApply(shard: ShardId, entry: Entry): void;
  onPass(shard: ShardId): void;
}

export class SimMachine implements StateMachine {
  readonly #applied = new Map<ShardId, LogIndex>();
  readonly #persisted = new Map<ShardId, LogIndex>();
  readonly #watcher: MachineWatcher;

  constructor(watcher: MachineWatcher) {
    this.#watcher = watcher;
  }

  appliedIndex(shard: ShardId): LogIndex {
    return this.#applied.get(shard) ?? 0;
  }

  persistedIndex(shard: ShardId): LogIndex {
    return this.#persisted.get(shard) ?? 0;
  }

  apply(shard: ShardId, entry: Entry): unknown {
    const expected = this.appliedIndex(shard) + 1;
    expect(entry.index === expected, 'apply-in-order', () => `${entry.index} != ${expected}`);
    this.#applied.set(shard, entry.index);
    this.#watcher.onApply(shard, entry);
    return entry.index;
  }

  applied(shard: ShardId, through: EntryId): void {
    const applied = this.appliedIndex(shard);
    expect(through.index === applied, 'apply-reported', () => `${through.index} != ${applied}`);
    this.#watcher.onPass(shard);
  }

  restore(shard: ShardId, { index }: EntryId): void {
    expect(index > this.appliedIndex(shard), 'restore-forward', () => `to ${index}`);
    this.#applied.set(shard, index);
  }

  /** The index reaches the disk, never ahead of the node's own durable log (internals rule 6). */
  persist(shard: ShardId, durable: LogIndex): void {
    const index = Math.min(this.appliedIndex(shard), durable);
    this.#persisted.set(shard, Math.max(index, this.persistedIndex(shard)));
  }

  crash(): void {
    for (const shard of this.#applied.keys()) {
      this.#applied.set(shard, this.persistedIndex(shard));
    }
  }
}
