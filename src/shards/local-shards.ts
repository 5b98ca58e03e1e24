/**
 * Which shards live on this node: those that the log had at the start, those that a leader's invite
 * brings, less those that the metadata took away. Steps of one shard follow each other; what is on
 * the disk after each of them is found again by the next start (internals rule 8):
 *
 *   create  the first state record durable, then Raft may answer for the replica
 *   drop    out of Raft, drop record durable, rows out of LevelDB, checkpoints deleted
 */
import { strict as assert } from 'node:assert';
import type { Logger } from 'pino';
import type { RaftDriver } from '../../raft/driver.ts';
import type { Invite } from '../../raft/messages.ts';
import type { LogStore } from '../../raft/ports.ts';
import type { RecoveredShard, ReplicaId, ShardId, ShardState } from '../../raft/types.ts';
import type { LoadedShard } from '../../storage/level-state.ts';
import type { MetaState } from '../cluster/api.ts';
import { META_SHARD, type NewDataShard, type ShardMachine } from './shard-machine.ts';
import type { CheckpointSnapshots } from './snapshot-store.ts';
import type { StateFlush } from './state-flush.ts';
import { stateRows } from './tables.ts';

export interface LocalShardsParts {
  /** Of this node's data directory. */
  readonly incarnation: string;
  readonly driver: Pick<RaftDriver, 'addShard' | 'removeShard'>;
  readonly log: Pick<LogStore, 'write'>;
  readonly machine: Pick<ShardMachine, 'hold' | 'release'>;
  readonly flush: Pick<StateFlush, 'drop'>;
  readonly snapshots: Pick<CheckpointSnapshots, 'drop'>;
  readonly meta: Pick<MetaState, 'load' | 'isRetired'>;
  readonly newData: NewDataShard;
  readonly logger: Pick<Logger, 'info'>;
  /** The highest replica id of shards that left this directory, per shard. */
  readonly tombstones: ReadonlyMap<ShardId, ReplicaId>;
  /** No replica of the shard is here any more: whoever waits for a leader here waits in vain. */
  readonly onLeft: (shard: ShardId) => void;
  readonly onFatal: (error: Error) => void;
}

export class LocalShards {
  readonly #parts: LocalShardsParts;
  /** This node's own id in each shard that it holds. */
  readonly #held = new Map<ShardId, ReplicaId>();
  /** The highest id that this directory ever held, of every shard. */
  readonly #highest: Map<ShardId, ReplicaId>;
  /** Held, but never to vote again: a new id takes their place whatever the leader knows. */
  readonly #suspects = new Set<ShardId>();
  /** A replica of the shard is coming or going. */
  readonly #changing = new Set<ShardId>();
  /** Asked for while a replica was coming. */
  readonly #dropsWanted = new Map<ShardId, () => void>();

  constructor(parts: LocalShardsParts) {
    this.#parts = parts;
    this.#highest = new Map(parts.tombstones);
  }

  /** What the log held at the start. A replica may have been about to leave at its end. */
  open(found: readonly RecoveredShard[], loaded: ReadonlyMap<ShardId, LoadedShard>): void {
    for (const recovered of found) this.#open(recovered, loaded.get(recovered.shard));
    this.dropRetired();
  }

  #open(recovered: RecoveredShard, loaded: LoadedShard | undefined): void {
    const { driver, machine, meta } = this.#parts;
    const { shard, state } = recovered;
    const data = shard === META_SHARD ? undefined : this.#parts.newData(shard);
    (data ?? meta).load(stateRows(loaded?.rows ?? []));
    const mark = loaded?.applied ?? { index: 0, timeMs: 0 };
    this.#remember(shard, state.replica);
    if (state.suspect === true) this.#suspects.add(shard);
    machine.hold(shard, data, mark.timeMs);
    driver.addShard(recovered, mark.index, mark.timeMs);
  }

  replicaOf(shard: ShardId): ReplicaId | undefined {
    return this.#held.get(shard);
  }

  /** Of all replica ids that this directory ever held; 0 = it held none. */
  highestOf(shard: ShardId): ReplicaId {
    return this.#highest.get(shard) ?? 0;
  }

  /** A leader says that one of its shard's replicas is to live here. It repeats itself. */
  invited({ shard, to, incarnation, membership, replaces }: Invite): void {
    if (incarnation !== this.#parts.incarnation) return;
    if (to <= (this.#highest.get(shard) ?? 0) || this.#changing.has(shard)) return;
    const old = this.#held.get(shard);
    if (old !== undefined && !replaces && !this.#suspects.has(shard)) return;
    const state: ShardState = {
      hardState: { term: 0, vote: 0, commit: 0 },
      replica: to,
      logStart: { index: 0, term: 0 },
      membership,
    };
    this.#changing.add(shard);
    if (old === undefined) this.#create(shard, state);
    else this.#remove(shard, old, () => this.#create(shard, state));
  }

  /** The metadata changed: what no configuration names any more goes. */
  dropRetired(): void {
    for (const [shard, replica] of [...this.#held]) {
      if (this.#parts.meta.isRetired(shard, replica)) this.drop(shard, replica, () => undefined);
    }
  }

  /** `done` when nothing is left of the replica; at once when it is not here (any more). */
  drop(shard: ShardId, replica: ReplicaId, done: () => void): void {
    if (this.#held.get(shard) !== replica) done();
    else if (this.#changing.has(shard)) {
      this.#dropsWanted.set(shard, () => this.drop(shard, replica, done));
    } else {
      this.#changing.add(shard);
      this.#remove(shard, replica, () => {
        this.#changing.delete(shard);
        done();
      });
    }
  }

  #remember(shard: ShardId, replica: ReplicaId): void {
    assert(replica > (this.#highest.get(shard) ?? 0), 'replica ids of a shard only rise');
    this.#highest.set(shard, replica);
    this.#held.set(shard, replica);
  }

  #create(shard: ShardId, state: ShardState): void {
    const { driver, log, logger, machine, meta } = this.#parts;
    const { replica } = state;
    this.#remember(shard, replica);
    const onDurable = (): void => {
      const data = shard === META_SHARD ? undefined : this.#parts.newData(shard);
      if (data === undefined) meta.load([]);
      machine.hold(shard, data, 0);
      driver.addShard({ shard, state, lastIndex: 0, termStarts: [], configEntries: [] }, 0);
      this.#changing.delete(shard);
      logger.info({ shard, replica }, 'replica created');
      const drop = this.#dropsWanted.get(shard);
      this.#dropsWanted.delete(shard);
      drop?.();
    };
    log.write([{ kind: 'state', shard, state }], { onDurable });
  }

  #remove(shard: ShardId, replica: ReplicaId, done: () => void): void {
    const { driver, flush, log, logger, machine, onFatal, onLeft, snapshots } = this.#parts;
    this.#held.delete(shard);
    this.#suspects.delete(shard);
    driver.removeShard(shard);
    machine.release(shard);
    onLeft(shard);
    const onGone = (): void => {
      logger.info({ shard, replica }, 'replica dropped');
      done();
    };
    const onDurable = (): void =>
      flush.drop(shard, () => snapshots.drop(shard).then(onGone).catch(onFatal));
    log.write([{ kind: 'drop', shard, replica }], { onDurable });
  }
}
