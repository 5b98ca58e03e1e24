/** The data directory of one node of a restored cluster, as if it had been stopped at the cut. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { LogRecord } from '../../raft/ports.ts';
import type { EntryId, ShardId, ShardState } from '../../raft/types.ts';
import { type CheckpointSource, takeCheckpoint } from '../../storage/checkpoints.ts';
import { type CommitLog, closeCommitLog, openCommitLog } from '../../storage/commit-log.ts';
import type { ShardSnapshot } from '../../storage/level-state.ts';
import { makeDirectoryDurably } from '../cluster/durable-file.ts';
import { firstMembership, initialShardStates } from '../cluster/first-configuration.ts';
import { type Identity, markLogBorn, writeIdentity } from '../cluster/identity.ts';
import type { ShardStart } from './shard-files.ts';
import type { Place } from './shard-replay.ts';

/**
 * The new cluster's terms begin so far above the old one's: what the old cluster named by term and
 * index after the cut (transactions, messages) is never the name of something else here.
 */
export const TERM_LEAP = 1_000_000;

export class NodeRestore {
  readonly identity: Identity;
  readonly directory: string;
  readonly #log: CommitLog;
  readonly #states: ReadonlyMap<ShardId, ShardState>;

  private constructor(identity: Identity, directory: string, log: CommitLog) {
    this.identity = identity;
    this.directory = directory;
    this.#log = log;
    this.#states = initialShardStates(identity);
  }

  static async begin(identity: Identity, directory: string): Promise<NodeRestore> {
    makeDirectoryDurably(directory);
    return new NodeRestore(identity, directory, await openLog(identity, directory));
  }

  holds(shard: ShardId): boolean {
    return this.#states.has(shard);
  }

  /** The checkpoint first: a log may start only after one that is on the disk. */
  async startShard(shard: ShardId, start: ShardStart, term: number): Promise<void> {
    const { place, rows } = start;
    if (place.index > 0) {
      const membership = firstMembership(this.identity, shard);
      const directory = join(this.directory, 'checkpoints');
      const source = sourceOf({ shard, ...place }, rows);
      await takeCheckpoint({ source, directory, shard, membership: () => membership });
    }
    const state = this.#stateOf(shard, place, term, place.index);
    await this.write([{ kind: 'reset', shard, state }]);
  }

  /** All entries are there: they count as committed. */
  endShard(shard: ShardId, start: Place, cut: Place): Promise<void> {
    const state = this.#stateOf(shard, start, cut.term, cut.index);
    return this.write([{ kind: 'state', shard, state }]);
  }

  write(records: readonly LogRecord[]): Promise<void> {
    return new Promise((resolve) => this.#log.write(records, { onDurable: resolve }));
  }

  close(): Promise<void> {
    return closeCommitLog(this.#log);
  }

  /** Last of all: a directory without an identity is started by nobody. */
  giveIdentity(): void {
    markLogBorn(this.directory);
    writeIdentity(this.directory, this.identity);
  }

  #stateOf(shard: ShardId, start: EntryId, term: number, commit: number): ShardState {
    const { index, term: startTerm } = start;
    return {
      ...this.#states.get(shard)!,
      hardState: { term: term + TERM_LEAP, vote: 0, commit },
      logStart: { index, term: startTerm },
    };
  }
}

/** As a node opens its log for the first time. */
export function openLog(identity: Identity, directory: string): Promise<CommitLog> {
  mkdirSync(join(directory, 'log'), { recursive: true, mode: 0o700 });
  const createShards = [...initialShardStates(identity)];
  return openCommitLog({
    directory: join(directory, 'log'),
    createShards: createShards.map(([shard, state]) => ({ shard, state })),
    // Thrown from an event: the command ends, and what it wrote has no identity.
    onFatal: (error) => {
      setImmediate(() => {
        throw error;
      });
    },
  });
}

function sourceOf(
  applied: NonNullable<ShardSnapshot['applied']>,
  rows: ShardStart['rows'],
): CheckpointSource {
  const snapshot: ShardSnapshot = {
    applied,
    async *rows() {
      yield rows;
    },
    close: () => Promise.resolve(),
  };
  return { snapshotShard: () => Promise.resolve(snapshot) };
}
