/** Reads restored directories back, as their nodes will, and holds them against the manifest. */
import { join } from 'node:path';
import type { LogStore } from '../../raft/ports.ts';
import type { Entry, RecoveredShard, ShardId } from '../../raft/types.ts';
import { readCheckpointFile } from '../../storage/checkpoint-file.ts';
import { checkpointPath } from '../../storage/checkpoints.ts';
import { closeCommitLog } from '../../storage/commit-log.ts';
import type { TableRow } from '../../storage/level-db.ts';
import { stateDigestOf } from '../../storage/state-digest.ts';
import { META_SHARD } from '../cluster/first-configuration.ts';
import type { BackedUpShard, Manifest } from './manifest.ts';
import type { RestoreOrder } from './restore.ts';
import { openLog } from './restore-node.ts';
import { keptRows, LogDigest } from './shard-files.ts';
import { type Place, ShardReplay } from './shard-replay.ts';
import { assertSame } from './verify-backup.ts';

const READ_BYTES = 4 * 1024 * 1024;

type Order = Pick<RestoreOrder, 'cradles' | 'identities' | 'manifest'>;

/** Throws a `Failure` naming the first shard that is not what the backup says. */
export async function checkRestored(
  { cradles, identities, manifest }: Order,
  metadata: { readonly rows: readonly TableRow[] },
): Promise<void> {
  // It begins a new log, and may have been changed on the way.
  const expectedMeta: BackedUpShard = {
    ...manifest.shards[META_SHARD]!,
    logDigest: new LogDigest().hex(),
    stateDigest: stateDigestOf(metadata.rows),
  };
  for (const { directory, node } of cradles) {
    const log = await openLog(identities.find((one) => one.node === node)!, directory);
    for (const found of log.recovered) {
      const expected = found.shard === META_SHARD ? expectedMeta : manifest.shards[found.shard]!;
      await checkShard(directory, log, found, { expected, manifest });
    }
    await closeCommitLog(log);
  }
}

async function checkShard(
  directory: string,
  log: Pick<LogStore, 'read'>,
  { lastIndex, shard, state }: RecoveredShard,
  { expected, manifest }: { readonly expected: BackedUpShard; readonly manifest: Manifest },
): Promise<void> {
  const { index } = state.logStart;
  const rows: TableRow[] = [];
  let start: Place = { index: 0, term: 0, timeMs: 0 };
  if (index > 0) {
    const file = checkpointPath(join(directory, 'checkpoints'), shard, index);
    start = (await readCheckpointFile(file, (row) => void rows.push(row))).applied;
  }
  const replay = new ShardReplay(shard, manifest, start, rows);
  const digest = new LogDigest();
  for (let from = index + 1; from <= lastIndex; ) {
    const entries = await entriesFrom(log, shard, from, lastIndex);
    for (const entry of entries) {
      replay.apply(entry);
      digest.add(shard, entry);
    }
    from += entries.length;
  }
  const stateDigest = stateDigestOf(keptRows(shard, replay.rows()));
  assertSame(shard, expected, { cut: replay.last, logDigest: digest.hex(), stateDigest });
}

function entriesFrom(
  log: Pick<LogStore, 'read'>,
  shard: ShardId,
  from: number,
  to: number,
): Promise<readonly Entry[]> {
  return new Promise((resolve, reject) => {
    log.read(shard, from, to, READ_BYTES, (error, entries) => {
      if (error === undefined) resolve(entries);
      else reject(error);
    });
  });
}
