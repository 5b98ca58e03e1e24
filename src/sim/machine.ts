/**
 * The derived state of one simulated machine: the production state machine of data shards, the
 * flush behind it and the state store over a simulated LevelDB. A crash takes what LevelDB forgets;
 * a restart loads the rows that are left, or builds them again from checkpoints (internals rule 6).
 */
import type { StateMachine } from '../../raft/ports.ts';
import type { Entry, EntryId, LogIndex, RecoveredShard, ShardId } from '../../raft/types.ts';
import type { Files } from '../../storage/files.ts';
import type { TableRow } from '../../storage/level-db.ts';
import type { LevelState, LoadedShard } from '../../storage/level-state.ts';
import { openState } from '../../storage/open-state.ts';
import type { AppliedMark } from '../../storage/row-codec.ts';
import type { DataShard } from '../broker/api.ts';
import type { ApplyResult } from '../broker/commands.ts';
import { createDataShard } from '../broker/data-shard.ts';
import type { StateRow, StateWriter } from '../broker/state-port.ts';
import type { MetaState } from '../cluster/api.ts';
import type { Birth } from '../cluster/birth-placement.ts';
import { createMetaState } from '../cluster/meta-state.ts';
import { META_SHARD, ShardMachine } from '../shards/shard-machine.ts';
import { StateFlush } from '../shards/state-flush.ts';
import { stateRows } from '../shards/tables.ts';
import { QueueWaiters } from '../shards/waiters.ts';
import { Effects, ShardRows, teed } from './effects.ts';
import { expect } from './failure.ts';
import { CHECKPOINT_DIRECTORY } from './keeper.ts';
import { type LevelHost, SimLevel } from './level.ts';
import { SIM_LIMITS } from './limits.ts';
import type { Random } from './random.ts';

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
  /** The replica leaves this node. */
  onRelease(shard: ShardId): void;
  /** A snapshot took the state's place. */
  onRestore(shard: ShardId, id: EntryId, stateHash: number): void;
}

export interface MachineHost extends LevelHost {
  readonly watcher: MachineWatcher;
  /** What the metadata begins with. */
  readonly birth: Birth;
  readonly files: Files;
  /** Effects that may wait for LevelDB. */
  readonly maxPendingBytes: number;
  readonly maxRowsPerQueue: number;
  durableIndex(shard: ShardId): LogIndex;
  durableLogStart(shard: ShardId): LogIndex;
  onRoom(): void;
  /** The shard's state changed, by entries or by a snapshot. */
  onApplied(shard: ShardId): void;
  onFatal(error: Error): void;
  onRebuilt(): void;
}

/** A batch fits into a write buffer, as in production. */
const LEVEL_LIMITS = { batchDelayMs: 0, maxBatchBytes: 8192, writeBufferBytes: 16_384 };
const DONE: ApplyResult = { type: 'done' };

interface Held {
  /** The same rows as the state's, by themselves. */
  rows: ShardRows;
  applied: LogIndex;
}

/** One life of the process. */
export interface Life {
  readonly state: LevelState;
  readonly flush: StateFlush;
  readonly machine: ShardMachine;
  readonly meta: MetaState;
  /** As found at the start. */
  readonly loaded: Map<ShardId, LoadedShard>;
  readonly held: Map<ShardId, Held>;
  /** Of snapshots that came in whole. */
  readonly staged: Map<ShardId, readonly TableRow[]>;
}

export class SimMachine implements StateMachine {
  readonly #host: MachineHost;
  readonly #level: SimLevel;
  #life: Life | undefined = undefined;
  #effects = new Effects();

  constructor(host: MachineHost) {
    this.#host = host;
    this.#level = new SimLevel(host);
  }

  async open(identity: string, recovered: readonly RecoveredShard[]): Promise<void> {
    const ends = recovered.map(({ shard, state, lastIndex }) => {
      return [shard, { start: state.logStart.index, last: lastIndex }] as const;
    });
    const { state, shards, report } = await openState({
      directory: 'state',
      identity,
      logEnds: new Map(ends),
      onFatal: (error) => this.#host.onFatal(error),
      backend: this.#level,
      checkpointDirectory: CHECKPOINT_DIRECTORY,
      files: this.#host.files,
      ...LEVEL_LIMITS,
    });
    if (report.some((line) => line.startsWith('state is built again'))) this.#host.onRebuilt();
    this.#life = this.#begin(state, shards);
  }

  #begin(state: LevelState, loaded: ReadonlyMap<ShardId, LoadedShard>): Life {
    const host = this.#host;
    const flush = new StateFlush(state, {
      maxPendingBytes: host.maxPendingBytes,
      maxRowsPerQueue: host.maxRowsPerQueue,
      durableIndexOf: (shard) => host.durableIndex(shard),
      durableLogStartOf: (shard) => host.durableLogStart(shard),
      onRoom: () => host.onRoom(),
    });
    const meta = createMetaState(host.birth);
    this.#tap(meta);
    const waiters = new QueueWaiters(1);
    const onApplied = (shard: ShardId) => host.onApplied(shard);
    const newData = (shard: ShardId) => createDataShard(shard, SIM_LIMITS);
    const machine = new ShardMachine(meta, flush, waiters, onApplied, newData);
    return {
      state,
      flush,
      machine,
      meta,
      loaded: new Map(loaded),
      held: new Map(),
      staged: new Map(),
    };
  }

  /** Of this life: what the parts of the node beside Raft work with. */
  get life(): Life {
    if (this.#life === undefined) throw new Error('the state is not open');
    return this.#life;
  }

  get isOpen(): boolean {
    return this.#life !== undefined;
  }

  hold(shard: ShardId, data: DataShard | undefined, timeMs: number): void {
    const { machine, held, loaded } = this.life;
    if (data !== undefined) this.#tap(data);
    machine.hold(shard, data, timeMs);
    const { rows, applied } = loaded.get(shard) ?? { rows: [], applied: undefined };
    held.set(shard, { rows: rowsOf([...stateRows(rows)]), applied: applied?.index ?? 0 });
  }

  release(shard: ShardId): void {
    const { machine, held, loaded } = this.life;
    this.#host.watcher.onRelease(shard);
    machine.release(shard);
    held.delete(shard);
    loaded.delete(shard);
  }

  /** Whoever watches sees what applying an entry writes. */
  #tap<Result>(state: { apply(entry: Entry, out: StateWriter): Result }): void {
    const apply = state.apply.bind(state);
    state.apply = (entry, out) => apply(entry, teed(this.#effects, out));
  }

  #get(shard: ShardId): Held {
    const held = this.#life?.held.get(shard);
    if (held === undefined) throw new Error(`shard ${shard} is not held`);
    return held;
  }

  data(shard: ShardId): DataShard {
    return this.life.machine.data(shard);
  }

  /** 0 while the process is down. */
  appliedIndex(shard: ShardId): LogIndex {
    return this.#life?.held.get(shard)?.applied ?? 0;
  }

  appliedMark(shard: ShardId): AppliedMark | undefined {
    return this.#life?.state.appliedOf(shard);
  }

  /** What LevelDB holds. */
  persistedIndex(shard: ShardId): LogIndex {
    return this.appliedMark(shard)?.index ?? 0;
  }

  durable(shard: ShardId, index: LogIndex): void {
    this.#life?.flush.durable(shard, index);
  }

  hasRoom(): boolean {
    return this.#life?.machine.hasRoom() ?? false;
  }

  apply(shard: ShardId, entry: Entry): ApplyResult {
    const held = this.#get(shard);
    const expected = held.applied + 1;
    expect(entry.index === expected, 'apply-in-order', () => `${entry.index} != ${expected}`);
    const effects = new Effects();
    this.#effects = effects;
    const result = (this.#life!.machine.apply(shard, entry) ?? DONE) as ApplyResult;
    held.applied = entry.index;
    held.rows.apply(effects);
    const { hash: stateHash } = held.rows;
    this.#host.watcher.onApply(shard, { entry, result, effects, stateHash });
    return result;
  }

  applied(shard: ShardId, through: EntryId): void {
    const { applied } = this.#get(shard);
    expect(through.index === applied, 'apply-reported', () => `${through.index} != ${applied}`);
    this.#life!.machine.applied(shard, through);
    this.#host.watcher.onPass(shard);
  }

  /** A checkpoint was received. */
  prepare(mark: AppliedMark, tables: readonly TableRow[]): void {
    this.life.machine.prepare(mark, tables);
    this.life.staged.set(mark.shard, tables);
  }

  restore(shard: ShardId, id: EntryId): void {
    const { machine, held, staged } = this.life;
    const before = this.#get(shard).applied;
    expect(id.index > before, 'restore-forward', () => `${shard}: ${before} to ${id.index}`);
    machine.restore(shard, id);
    if (shard !== META_SHARD) this.#tap(machine.data(shard));
    held.set(shard, { rows: rowsOf([...stateRows(staged.get(shard)!)]), applied: id.index });
    staged.delete(shard);
    this.#host.watcher.onRestore(shard, id, held.get(shard)!.rows.hash);
  }

  flipRow(random: Random): boolean {
    return this.#level.flipRow(random);
  }

  /** The directory is empty again. */
  wipe(): void {
    void this.#level.delete();
  }

  crash(power: boolean): void {
    this.#life = undefined;
    this.#level.crash(power);
  }
}

function rowsOf(loaded: readonly StateRow[]): ShardRows {
  const effects = new Effects();
  for (const { table, key, value } of loaded) effects.put(table, key, value);
  const rows = new ShardRows();
  rows.apply(effects);
  return rows;
}
