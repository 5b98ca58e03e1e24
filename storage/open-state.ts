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
import type { Files } from './files.ts';
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
  /** Where checkpoints lie; LevelDB has its own ways. */
  readonly files?: Files;
}

export interface OpenedState {
  readonly state: LevelState;
  readonly shards: ReadonlyMap<ShardId, LoadedShard>;
  /** Lines for the operator: what was found and done. Empty = nothing worth telling. */
  readonly report: readonly string[];
}

const NO_LOG: LogEnds = { start: 0, last: 0 };
/** Rows of a checkpoint written at a time. */
const BUILD_CHUNK_BYTES = 256 * 1024;

export async function openState(options: OpenStateOptions): Promise<OpenedState> {
  const report: string[] = [];
  const state = await openWhole(options, report);
  try {
    await finishSwaps(state, options, report);
    return { state, shards: await loadShards(state, options.logEnds), report };
  } catch (error) {
    await state.close();
    if (!(error instanceof StorageError) || error.code !== 'DATA_LOSS') throw error;
    report.push(`state is built again: ${error.message}`);
    await deleteFor(options);
    const rebuilt = await openWhole(options, report);
    return { state: rebuilt, shards: await loadShards(rebuilt, options.logEnds), report };
  }
}

function deleteFor({ backend, directory }: OpenStateOptions): Promise<void> {
  return backend === undefined ? deleteState(directory) : backend.delete(directory);
}

async function openWhole(options: OpenStateOptions, report: string[]): Promise<LevelState> {
  const state = await openLevelState(options);
  try {
    await removeUnfinished(options.checkpointDirectory, options.files);
    if (state.verdict.kind === 'ok') return state;
    if (state.verdict.kind === 'rebuild') {
      report.push(`state is built again: ${state.verdict.reason}`);
    }
    const checkpoints = await listCheckpoints(options.checkpointDirectory, options.files);
    report.push(...(await rebuildFrom(state, checkpoints, options.logEnds, options.files)));
    return state;
  } catch (error) {
    await state.close();
    throw error;
  }
}

/**
 * Shards that left the log go. What is there of a shard whose swap was interrupted, or that the
 * log has left behind, is replaced by what the start of its log rests on.
 */
async function finishSwaps(
  state: LevelState,
  options: OpenStateOptions,
  report: string[],
): Promise<void> {
  const { checkpointDirectory, files, logEnds } = options;
  const applied = state.appliedMarks().map(({ shard }) => shard);
  for (const shard of applied.filter((each) => !logEnds.has(each))) {
    await state.swapAtOpen(shard, undefined, []);
  }
  if (state.unfinishedSwaps.length === 0) return;
  const checkpoints = await listCheckpoints(checkpointDirectory, files);
  for (const shard of state.unfinishedSwaps) {
    const ends = logEnds.get(shard) ?? NO_LOG;
    if (ends.start === 0) {
      await state.swapAtOpen(shard, undefined, []);
      continue;
    }
    const found = await checkpointWithin(checkpoints, shard, ends, report, files);
    const rows: TableRow[] = [];
    await readCheckpointFile(found.file, (row) => void rows.push(row), files);
    await state.swapAtOpen(shard, found.applied, rows);
    report.push(`shard ${shard}: replaced by checkpoint ${found.applied.index}`);
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
  files?: Files,
): Promise<readonly string[]> {
  const report: string[] = [];
  for (const [shard, ends] of logEnds) {
    if (ends.start === 0) continue;
    const checkpoint = await checkpointWithin(checkpoints, shard, ends, report, files);
    await loadCheckpoint(state, checkpoint, files);
    const { index } = checkpoint.applied;
    report.push(`shard ${shard}: ${checkpoint.rowCount} rows from checkpoint ${index}`);
  }
  await state.completeBuild();
  return report;
}

/** The first intact one that the shard's log reaches. */
async function checkpointWithin(
  checkpoints: readonly CheckpointFile[],
  shard: ShardId,
  { start, last }: LogEnds,
  report: string[],
  files: Files | undefined,
): Promise<Checkpoint> {
  const candidates = checkpoints.filter(
    (one) => one.shard === shard && one.index >= start && one.index <= last,
  );
  const { checkpoint, damaged } = await firstIntact(candidates, files);
  report.push(...damaged);
  if (checkpoint === undefined) throw noCheckpoint(shard, start, last);
  const { index } = checkpoint.applied;
  if (index > start) report.push(`shard ${shard}: entries ${start + 1}-${index} are not replayed`);
  return checkpoint;
}

function noCheckpoint(shard: ShardId, start: LogIndex, last: LogIndex): StorageError {
  const range = `${start}-${last}`;
  const message = `shard ${shard} has no intact checkpoint within its log (${range})`;
  return new StorageError('DATA_LOSS', message);
}

async function loadCheckpoint(
  state: LevelState,
  checkpoint: Checkpoint,
  files: Files | undefined,
): Promise<void> {
  const { shard } = checkpoint.applied;
  let ops: StateOp[] = [];
  let bytes = 0;
  const writeChunk = async (): Promise<void> => {
    await state.writeBuilding({ ops, applied: [] });
    ops = [];
    bytes = 0;
  };
  const onRow = async (row: TableRow): Promise<void> => {
    const op = { key: tableKey(row.kind, shard, row.key), value: row.value };
    ops.push(op);
    bytes += opBytes(op);
    if (bytes >= BUILD_CHUNK_BYTES) await writeChunk();
  };
  await readCheckpointFile(checkpoint.file, onRow, files);
  await writeChunk();
  await state.writeBuilding({ ops: [], applied: [checkpoint.applied] });
}
