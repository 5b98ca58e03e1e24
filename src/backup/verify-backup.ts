/** Reads a whole backup: every file by its checksum, every shard by what its replay comes to. */
import type { ShardId } from '../../raft/types.ts';
import { Failure } from '../failure.ts';
import { type BackedUpShard, type BackupFile, type Manifest, readManifest } from './manifest.ts';
import { type CutShard, checkedFile, replayShard } from './shard-files.ts';

/** Throws a `Failure` at the first thing that is wrong. */
export async function verifyBackup(
  directory: string,
  onShard: (shard: BackedUpShard) => void,
): Promise<Manifest> {
  const manifest = readManifest(directory);
  for (const shard of manifest.shards) {
    for (const file of [shard.log, shard.checkpoint]) {
      if (file !== null) await verifyFile(directory, file);
    }
    assertSame(shard.shard, shard, await replayShard(directory, shard.shard, manifest));
    onShard(shard);
  }
  return manifest;
}

async function verifyFile(directory: string, file: BackupFile): Promise<void> {
  const found = await checkedFile(directory, file.name).catch((error: Error) => {
    throw new Failure(`${directory}: ${error.message}`, undefined, error);
  });
  if (found.bytes === file.bytes && found.sha256 === file.sha256) return;
  throw new Failure(`${directory}: ${file.name} is damaged: it does not fit its checksum`);
}

type Content = Pick<CutShard, 'cut' | 'logDigest' | 'stateDigest'>;

/** The same entries, the same state: what a restored directory is held against, too. */
export function assertSame(shard: ShardId, expected: Content, found: Content): void {
  for (const what of ['logDigest', 'stateDigest'] as const) {
    if (found[what] === expected[what]) continue;
    throw new Failure(`shard ${shard}: ${what} is ${found[what]} instead of ${expected[what]}`);
  }
  if (found.cut.index === expected.cut.index) return;
  throw new Failure(`shard ${shard} ends at ${found.cut.index} instead of ${expected.cut.index}`);
}
