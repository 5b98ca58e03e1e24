/**
 * Opens the node's state: takes LevelDB as it is when it fits the log, else builds it again from
 * checkpoints. Either way the log is then replayed from each shard's applied index.
 */
import type { LogIndex, ShardId } from '../raft/types.ts';
import { readCheckpointFile } from './checkpoint-file.ts';
import {
  type Checkpoint,
  type CheckpointFile,
  firstIntact,
  listCheckpoints,
  removeUnfinished,
} from './checkpoints.ts';
import { StorageError } from './errors.ts';
import { tableKey } from './keys.ts';
import type { TableRow } from './level-db.ts';
import {
  type LevelState,
  type LevelStateOptions,
  type LoadedShard,
  openLevelState,
} from './level-state.ts';
import { deleteState } from './state-directory.ts';
import type { LogEnds } from './state-verdict.ts';
import { opBytes, type StateOp } from './write-queue.ts';

export interface OpenStateOptions extends LevelStateOptions {
  readonly checkpointDirectory: string;
}

export interface OpenedState {
  readonly state: LevelState;
  readonly shards: ReadonlyMap<ShardId, LoadedShard>;
  /** Lines for the operator: what was found and done. Empty = nothing worth telling. */
  readonly report: readonly string[];
}

/** Rows of a checkpoint written at a time. */
const BUILD_CHUNK_BYTES = 256 * 1024;

export async function openState(options: OpenStateOptions): Promise<OpenedState> {
  const report: string[] = [];
  const state = await openWhole(options, report);
  try {
    return { state, shards: await loadShards(state, options.logEnds), report };
  } catch (error) {
    await state.close();
    if (!(error instanceof StorageError) || error.code !== 'DATA_LOSS') throw error;
    report.push(`state is built again: ${error.message}`);
    await deleteState(options.directory);
    const rebuilt = await openWhole(options, report);
    return { state: rebuilt, shards: await loadShards(rebuilt, options.logEnds), report };
  }
}

async function openWhole(options: OpenStateOptions, report: string[]): Promise<LevelState> {
  const state = await openLevelState(options);
  try {
    await removeUnfinished(options.checkpointDirectory);
    if (state.verdict.kind === 'ok') {
      await dropStrays(state, options.logEnds);
      return state;
    }
    if (state.verdict.kind === 'rebuild') {
      report.push(`state is built again: ${state.verdict.reason}`);
    }
    const checkpoints = await listCheckpoints(options.checkpointDirectory);
    report.push(...(await rebuildFrom(state, checkpoints, options.logEnds)));
    return state;
  } catch (error) {
    await state.close();
    throw error;
  }
}

/** Shards that left the log: a crash came before their rows were gone. */
async function dropStrays(
  state: LevelState,
  logEnds: ReadonlyMap<ShardId, LogEnds>,
): Promise<void> {
  for (const { shard } of state.appliedMarks()) {
    if (logEnds.has(shard)) continue;
    await new Promise<void>((resolve) => state.dropShard(shard, resolve));
  }
}

async function loadShards(
  state: LevelState,
  logEnds: ReadonlyMap<ShardId, LogEnds>,
): Promise<ReadonlyMap<ShardId, LoadedShard>> {
  const shards = new Map<ShardId, LoadedShard>();
  for (const shard of logEnds.keys()) shards.set(shard, await state.loadShard(shard));
  return shards;
}

/**
 * Fills an empty store: each shard's checkpoint that its log starts after, or nothing when the log
 * is there from its first entry. A later checkpoint would do for the small state but not for the
 * queue index, which only the replay of the entries makes. Returns report lines.
 */
export async function rebuildFrom(
  state: LevelState,
  checkpoints: readonly CheckpointFile[],
  logEnds: ReadonlyMap<ShardId, LogEnds>,
): Promise<readonly string[]> {
  const report: string[] = [];
  for (const [shard, { start, last }] of logEnds) {
    if (start === 0) continue;
    const candidates = checkpoints.filter(
      (one) => one.shard === shard && one.index >= start && one.index <= last,
    );
    const { checkpoint, damaged } = await firstIntact(candidates);
    report.push(...damaged);
    if (checkpoint === undefined) throw noCheckpoint(shard, start, last);
    await loadCheckpoint(state, checkpoint);
    const { index } = checkpoint.applied;
    report.push(`shard ${shard}: ${checkpoint.rowCount} rows from checkpoint ${index}`);
    if (index > start)
      report.push(`shard ${shard}: entries ${start + 1}-${index} are not replayed`);
  }
  await state.completeBuild();
  return report;
}

function noCheckpoint(shard: ShardId, start: LogIndex, last: LogIndex): StorageError {
  const range = `${start}-${last}`;
  const message = `shard ${shard} has no intact checkpoint within its log (${range})`;
  return new StorageError('DATA_LOSS', message);
}

async function loadCheckpoint(state: LevelState, checkpoint: Checkpoint): Promise<void> {
  const { shard } = checkpoint.applied;
  let ops: StateOp[] = [];
  let bytes = 0;
  const writeChunk = async (): Promise<void> => {
    await state.writeBuilding({ ops, applied: [] });
    ops = [];
    bytes = 0;
  };
  await readCheckpointFile(checkpoint.file, async (row: TableRow) => {
    const op = { key: tableKey(row.kind, shard, row.key), value: row.value };
    ops.push(op);
    bytes += opBytes(op);
    if (bytes >= BUILD_CHUNK_BYTES) await writeChunk();
  });
  await writeChunk();
  await state.writeBuilding({ ops: [], applied: [checkpoint.applied] });
}
