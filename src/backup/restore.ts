/**
 * A new cluster out of a backup: new ids and directories, the topics, messages and groups of the
 * old one. Offline, as `cluster init`; each directory is read back before it gets its identity.
 */
import type { LogRecord } from '../../raft/ports.ts';
import type { ShardId } from '../../raft/types.ts';
import { byKey } from '../../storage/state-digest.ts';
import { assertCradleEmpty, type Cradle } from '../cluster/birth.ts';
import { META_SHARD } from '../cluster/first-configuration.ts';
import type { Identity } from '../cluster/identity.ts';
import { checkRestored } from './check-restored.ts';
import type { BackedUpShard, Manifest } from './manifest.ts';
import { type PausedTopics, pausedRetention } from './paused-retention.ts';
import { NodeRestore } from './restore-node.ts';
import { keptRows, readLog, readStart, replayShard, withoutMembers } from './shard-files.ts';

/** Entries that are written, and synced, in one go. */
const BATCH_BYTES = 8 * 1024 * 1024;
const BATCH_ENTRIES = 10_000;

export interface RestoreOrder {
  readonly from: string;
  /** Already verified. */
  readonly manifest: Manifest;
  readonly cradles: readonly Cradle[];
  readonly identities: readonly Identity[];
  readonly nowMs: number;
  readonly onShard: (shard: ShardId) => void;
}

export interface Restored {
  /** Topics whose messages do not grow old until somebody says so. */
  readonly paused: readonly { readonly name: string; readonly retentionMs: number }[];
}

export async function restoreBackup(given: RestoreOrder): Promise<Restored> {
  const { cradles, manifest } = given;
  // The level that the shards' logs begin at; what raised it is in them.
  const { featureLevel } = manifest;
  const identities = given.identities.map((identity) => ({ ...identity, featureLevel }));
  const order = { ...given, identities };
  for (const { directory, node } of cradles) assertCradleEmpty(node, directory);
  const nodes: NodeRestore[] = [];
  for (const { directory, node } of cradles) {
    const identity = identities.find((one) => one.node === node)!;
    nodes.push(await NodeRestore.begin(identity, directory));
  }
  const metadata = await metadataOf(order);
  for (const shard of manifest.shards) {
    const holders = nodes.filter((node) => node.holds(shard.shard));
    if (shard.shard === META_SHARD) {
      const { cut: place } = shard;
      for (const node of holders)
        await node.startShard(META_SHARD, { place, ...metadata }, place.term);
    } else await restoreData(order, holders, shard);
    order.onShard(shard.shard);
  }
  for (const node of nodes) await node.close();
  await checkRestored(order, metadata);
  for (const node of nodes) node.giveIdentity();
  return { paused: metadata.paused };
}

/** Only what is not about the old nodes, as a checkpoint at the cut: no entry speaks of them. */
async function metadataOf({ from, manifest, nowMs }: RestoreOrder): Promise<PausedTopics> {
  const { replay } = await replayShard(from, META_SHARD, manifest);
  const rows = [...keptRows(META_SHARD, replay.rows())].sort(byKey);
  return pausedRetention(rows, manifest.startedAtMs, nowMs);
}

async function restoreData(
  { from }: RestoreOrder,
  holders: readonly NodeRestore[],
  { cut, shard }: BackedUpShard,
): Promise<void> {
  const start = await readStart(from, shard);
  for (const node of holders) await node.startShard(shard, start, cut.term);
  let batch: LogRecord[] = [];
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const records = batch;
    [batch, bytes] = [[], 0];
    if (records.length > 0) await Promise.all(holders.map((node) => node.write(records)));
  };
  for await (const read of readLog(from, shard, start.place)) {
    batch.push({ kind: 'entry', shard, entry: withoutMembers(read.entry) });
    bytes += read.bytes;
    if (bytes >= BATCH_BYTES || batch.length >= BATCH_ENTRIES) await flush();
  }
  await flush();
  for (const node of holders) await node.endShard(shard, start.place, cut);
}
