/**
 * The checkpoint files of one simulated machine: whole and durable, or not there. Written by the
 * machine for its own log's start, or received from a leader.
 */
import type { EntryId, LogIndex, Membership, ShardId } from '../../raft/types.ts';
import type { TableRow } from '../../storage/level-db.ts';
import type { AppliedMark } from '../../storage/row-codec.ts';

export interface Checkpoint {
  readonly applied: AppliedMark;
  readonly membership: Membership;
  readonly rows: readonly TableRow[];
}

/** As in production (storage/checkpoints.ts). */
const KEPT_MAX = 16;

export class SimCheckpoints {
  readonly #files = new Map<ShardId, Checkpoint[]>();

  #of(shard: ShardId): Checkpoint[] {
    let files = this.#files.get(shard);
    if (files === undefined) {
      files = [];
      this.#files.set(shard, files);
    }
    return files;
  }

  /** Ascending, each index once. */
  add(checkpoint: Checkpoint): void {
    const { shard, index } = checkpoint.applied;
    const files = this.#of(shard);
    const at = files.findIndex(({ applied }) => applied.index >= index);
    if (at < 0) files.push(checkpoint);
    else if (files[at]!.applied.index > index) files.splice(at, 0, checkpoint);
  }

  /** The one that a log which starts at `start` is built again from. */
  first(shard: ShardId, start: LogIndex, last: LogIndex): Checkpoint | undefined {
    const found = this.#of(shard).find(({ applied }) => applied.index >= start);
    return found !== undefined && found.applied.index <= last ? found : undefined;
  }

  at(shard: ShardId, { index, term }: EntryId): Checkpoint | undefined {
    return this.#of(shard).find(({ applied }) => applied.index === index && applied.term === term);
  }

  newest(shard: ShardId): Checkpoint | undefined {
    return this.#of(shard).at(-1);
  }

  /** The newest at or below `index`. */
  newestThrough(shard: ShardId, index: LogIndex): Checkpoint | undefined {
    return this.#of(shard).findLast(({ applied }) => applied.index <= index);
  }

  /** Keeps what the log's start rests on and the newest ones. */
  prune(shard: ShardId, start: LogIndex): void {
    const files = this.#of(shard);
    const kept = files.filter(({ applied }) => applied.index >= start);
    while (kept.length > KEPT_MAX) kept.splice(1, 1);
    this.#files.set(shard, kept);
  }
}
