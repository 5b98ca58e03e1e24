/** A store of shard 1 with the state model's entries in it, and where it lives. */
import path from 'node:path';
import { onTestFinished } from 'vitest';
import type { Membership } from '../../raft/types.ts';
import { type CheckpointFile, takeCheckpoint } from '../../storage/checkpoints.ts';
import type { LevelState } from '../../storage/level-state.ts';
import { type OpenedState, openState } from '../../storage/open-state.ts';
import { membershipOf } from './raft-cluster.ts';
import { effectsOf } from './state-model.ts';
import { temporaryDirectory } from './temporary-directory.ts';

export interface StatePlace {
  readonly state: string;
  readonly checkpoints: string;
}

export const MEMBERSHIP = membershipOf([1]);

export function throwFatal(error: Error): never {
  throw error;
}

export function newPlace(): StatePlace {
  const top = temporaryDirectory();
  return { state: path.join(top, 'state'), checkpoints: path.join(top, 'checkpoints') };
}

/** Shard 1 with this log; `others` with logs that are there from their first entry. */
export async function openAt(
  where: StatePlace,
  start: number,
  last: number,
  ...others: readonly number[]
): Promise<OpenedState> {
  const opened = await openState({
    directory: where.state,
    checkpointDirectory: where.checkpoints,
    identity: 'node 1',
    logEnds: new Map([
      [1, { start, last }],
      ...others.map((shard) => [shard, { start: 0, last: 100 }] as const),
    ]),
    onFatal: throwFatal,
    batchDelayMs: 0,
  });
  onTestFinished(() => opened.state.close());
  return opened;
}

export async function applyEntries(state: LevelState, from: number, to: number): Promise<void> {
  for (let index = from; index <= to; index++) state.write(effectsOf(1, index));
  await state.flush();
}

export function takeAt(
  state: LevelState,
  where: StatePlace,
  membership: () => Membership | undefined = () => MEMBERSHIP,
): Promise<CheckpointFile | undefined> {
  return takeCheckpoint({ source: state, directory: where.checkpoints, shard: 1, membership });
}

/** Applied through 40, with checkpoints at 10, 20 and 30. */
export async function withCheckpoints(): Promise<{ where: StatePlace; state: LevelState }> {
  const where = newPlace();
  const { state } = await openAt(where, 0, 100);
  for (const at of [10, 20, 30]) {
    await applyEntries(state, at - 9, at);
    await takeAt(state, where);
  }
  await applyEntries(state, 31, 40);
  return { where, state };
}
