/**
 * The derived state of one simulated machine: the production state machine of data shards, the
 * flush behind it and the state store over a simulated LevelDB. A crash takes what LevelDB forgets;
 * a restart loads the rows that are left, or builds them again from checkpoints (internals rule 6).
 */
import type { StateMachine } from '../../raft/ports.ts';
import type { Entry, EntryId, LogIndex, RecoveredShard, ShardId } from '../../raft/types.ts';
import { tableKey } from '../../storage/keys.ts';
import { type LevelState, openLevelState } from '../../storage/level-state.ts';
import type { AppliedMark } from '../../storage/row-codec.ts';
import type { DataShard } from '../broker/api.ts';
import type { ApplyResult } from '../broker/commands.ts';
import { createDataShard } from '../broker/data-shard.ts';
import type { StateRow } from '../broker/state-port.ts';
import { createMetaState } from '../cluster/meta-state.ts';
import { ShardMachine } from '../shards/shard-machine.ts';
import { StateFlush } from '../shards/state-flush.ts';
import { stateRows } from '../shards/tables.ts';
import { QueueWaiters } from '../shards/waiters.ts';
import type { Checkpoint, SimCheckpoints } from './checkpoints.ts';
import { Effects, ShardRows, teed } from './effects.ts';
import { expect } from './failure.ts';
import { type LevelHost, SimLevel } from './level.ts';

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

export interface MachineHost extends LevelHost {
  readonly watcher: MachineWatcher;
  readonly checkpoints: SimCheckpoints;
  /** Effects that may wait for LevelDB. */
  readonly maxPendingBytes: number;
  durableIndex(shard: ShardId): LogIndex;
  onRoom(): void;
  onFatal(error: Error): void;
  onRebuilt(): void;
}

/** A batch fits into a write buffer, as in production. */
const LEVEL_LIMITS = { batchDelayMs: 0, maxBatchBytes: 8192, writeBufferBytes: 16_384 };
/** No shard here is the metadata: nothing of this is used. */
const NO_META = {
  dataShards: 1,
  replicationFactor: 1,
  members: [{ node: 1, incarnation: 'sim' }],
};
const DONE: ApplyResult = { type: 'done' };

interface Held {
  readonly data: DataShard;
  /** The same rows as the state's, by themselves. */
  readonly rows: ShardRows;
  applied: LogIndex;
}

/** One life of the process. */
interface Life {
  readonly state: LevelState;
  readonly flush: StateFlush;
  readonly machine: ShardMachine;
  readonly held: Map<ShardId, Held>;
}

export class SimMachine implements StateMachine {
  readonly #host: MachineHost;
  readonly #level: SimLevel;
  readonly #meta = createMetaState(NO_META);
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
    const state = await openLevelState({
      directory: 'state',
      identity,
      logEnds: new Map(ends),
      onFatal: (error) => this.#host.onFatal(error),
      backend: this.#level,
      ...LEVEL_LIMITS,
    });
    if (state.verdict.kind !== 'ok') await this.#rebuild(state, recovered);
    const life = this.#begin(state);
    for (const { shard } of recovered) await this.#load(life, shard);
    this.#life = life;
  }

  #begin(state: LevelState): Life {
    const host = this.#host;
    const flush = new StateFlush(state, {
      maxPendingBytes: host.maxPendingBytes,
      durableIndexOf: (shard) => host.durableIndex(shard),
      onRoom: () => host.onRoom(),
    });
    const machine = new ShardMachine(this.#meta, flush, new QueueWaiters(1), () => {});
    return { state, flush, machine, held: new Map() };
  }

  /** As `rebuildFrom` of the storage does, from the files that it would list. */
  async #rebuild(state: LevelState, recovered: readonly RecoveredShard[]): Promise<void> {
    if (state.verdict.kind === 'rebuild') this.#host.onRebuilt();
    for (const { shard, state: facts, lastIndex } of recovered) {
      const start = facts.logStart.index;
      if (start === 0) continue;
      const found = this.#host.checkpoints.first(shard, start, lastIndex);
      expect(found !== undefined, 'checkpoint-kept', () => `shard ${shard} starts at ${start}`);
      const { rows, applied } = found!;
      const ops = rows.map(({ kind, key, value }) => ({ key: tableKey(kind, shard, key), value }));
      await state.writeBuilding({ ops, applied: [] });
      await state.writeBuilding({ ops: [], applied: [applied] });
    }
    await state.completeBuild();
  }

  async #load({ state, machine, held }: Life, shard: ShardId): Promise<void> {
    const { applied, rows } = await state.loadShard(shard);
    const loaded = [...stateRows(rows)];
    const data = createDataShard(shard);
    data.load(loaded);
    machine.hold(shard, data, applied?.timeMs ?? 0);
    held.set(shard, {
      data: this.#tapped(data),
      rows: rowsOf(loaded),
      applied: applied?.index ?? 0,
    });
  }

  /** Whoever watches sees what applying an entry writes. */
  #tapped(data: DataShard): DataShard {
    const apply = data.apply.bind(data);
    data.apply = (entry, out) => apply(entry, teed(this.#effects, out));
    return data;
  }

  #get(shard: ShardId): Held {
    const held = this.#life?.held.get(shard);
    if (held === undefined) throw new Error(`shard ${shard} is not held`);
    return held;
  }

  data(shard: ShardId): DataShard {
    return this.#get(shard).data;
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

  /** What LevelDB holds of the shard now, as a checkpoint would; undefined = nothing. */
  async image(shard: ShardId): Promise<Pick<Checkpoint, 'applied' | 'rows'> | undefined> {
    const snapshot = await this.#life!.state.snapshotShard(shard);
    const { applied } = snapshot;
    if (applied === undefined) return undefined;
    const rows = [];
    for await (const step of snapshot.rows()) rows.push(...step);
    return { applied, rows };
  }

  restore(shard: ShardId, { index }: EntryId): void {
    throw new Error(`shard ${shard} cannot be restored at ${index} yet`);
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
