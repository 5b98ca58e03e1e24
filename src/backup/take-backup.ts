/** A backup from its beginning to its manifest, the last file that is written. */
import { chmodSync, existsSync, readdirSync, truncateSync } from 'node:fs';
import type { LogIndex, ShardId } from '../../raft/types.ts';
import type { Birth } from '../cluster/birth-placement.ts';
import { makeDirectoryDurably } from '../cluster/durable-file.ts';
import { Failure } from '../failure.ts';
import { packageVersion } from '../package-root.ts';
import { ShardClaims } from './claims.ts';
import { type Cut, closedCut } from './closed-cut.ts';
import { demandsOf } from './demands.ts';
import { fetchShard, type ShardPort } from './fetch-shard.ts';
import { BACKUP_FORMAT, type BackedUpShard, type Manifest, writeManifest } from './manifest.ts';
import {
  checkedFile,
  checkpointFile,
  logFile,
  readLog,
  readStart,
  replayShard,
} from './shard-files.ts';
import { ShardReplay } from './shard-replay.ts';

/** Shards that are read at once: enough to keep a disk busy, few enough for the writers beside. */
const SHARDS_AT_ONCE = 2;
/** A leader keeps a log that somebody asks about, for a minute: also of shards that wait here. */
const HOLD_EVERY_MS = 20_000;

export interface BackupOrder {
  readonly port: ShardPort;
  readonly clusterId: string;
  readonly birth: Required<Birth>;
  readonly directory: string;
  readonly onProgress: (progress: BackupProgress) => void;
  readonly holdEveryMs?: number;
}

export interface BackupProgress {
  readonly step: 'reading' | 'cutting' | 'verifying';
  readonly shardsDone: number;
  readonly shards: number;
  readonly bytes: number;
}

export async function takeBackup(order: BackupOrder): Promise<Manifest> {
  const { birth, clusterId, directory, port } = order;
  assertNothingThere(directory);
  const startedAtMs = Date.now();
  const shards = Array.from({ length: birth.dataShards + 1 }, (_, shard) => shard);
  // In this order, all of the one before any of the other: see closed-cut.ts.
  const floors = await indexesOf(port, shards);
  const ceilings = await indexesOf(port, shards);
  makeDirectoryDurably(directory);
  chmodSync(directory, 0o700);
  await fetchAll(order, shards, floors, ceilings);
  const cut = await findCut(order, floors, ceilings);
  const backedUp: BackedUpShard[] = [];
  for (const shard of shards) {
    backedUp.push(await cutFiles(order, shard, floors.get(shard)!, cut.get(shard)!));
    tell(order, 'verifying', backedUp.length, shards.length, 0);
  }
  const manifest: Manifest = {
    ...{ format: BACKUP_FORMAT, holdfast: packageVersion(), clusterId },
    ...{ startedAtMs, endedAtMs: Date.now() },
    ...{ dataShards: birth.dataShards, replicationFactor: birth.replicationFactor },
    ...{ featureLevel: birth.featureLevel, members: birth.members },
    shards: backedUp,
  };
  writeManifest(directory, manifest);
  return manifest;
}

function assertNothingThere(directory: string): void {
  if (!existsSync(directory) || readdirSync(directory).length === 0) return;
  throw new Failure(`${directory} is not empty: give a backup a directory of its own`);
}

async function indexesOf(port: ShardPort, shards: readonly ShardId[]): Promise<Cut> {
  const cuts = await Promise.all(shards.map((shard) => port.cutShard(shard)));
  return new Map(shards.map((shard, at) => [shard, cuts[at]!.index]));
}

async function fetchAll(
  order: BackupOrder,
  shards: readonly ShardId[],
  floors: Cut,
  ceilings: Cut,
): Promise<void> {
  const left = new Set(shards);
  const waiting = [...shards];
  let bytes = 0;
  const say = () => tell(order, 'reading', shards.length - left.size, shards.length, bytes);
  const fetchSome = async (): Promise<void> => {
    for (let shard = waiting.shift(); shard !== undefined; shard = waiting.shift()) {
      const wanted = { shard, floor: floors.get(shard)!, ceiling: ceilings.get(shard)! };
      await fetchShard(order.port, order.directory, wanted, (more) => {
        bytes += more;
        say();
      });
      left.delete(shard);
      say();
    }
  };
  // Without an answer the log may be gone when its turn comes, and that is told then.
  const hold = () =>
    left.forEach((shard) => void order.port.cutShard(shard).catch(() => undefined));
  const holding = setInterval(hold, order.holdEveryMs ?? HOLD_EVERY_MS);
  try {
    await Promise.all(Array.from({ length: SHARDS_AT_ONCE }, fetchSome));
  } finally {
    clearInterval(holding);
  }
}

async function findCut(order: BackupOrder, floors: Cut, ceilings: Cut): Promise<Cut> {
  const { birth, directory } = order;
  const all = new Map<ShardId, ShardClaims>();
  for (const [shard, floor] of floors) {
    const { place, rows } = await readStart(directory, shard);
    const claims = new ShardClaims(new ShardReplay(shard, birth, place, rows), floor);
    for await (const { entry } of readLog(directory, shard, place)) claims.apply(entry);
    all.set(shard, claims);
    tell(order, 'cutting', all.size, floors.size, 0);
  }
  return closedCut(floors, ceilings, demandsOf(all));
}

/** What lies behind the cut goes; what stays is read once more, as a restore reads it. */
async function cutFiles(
  { birth, directory }: BackupOrder,
  shard: ShardId,
  floor: LogIndex,
  through: LogIndex,
): Promise<BackedUpShard> {
  const found = await replayShard(directory, shard, birth, through);
  const { logBytes, replay: _, ...facts } = found;
  truncateSync(logFile(directory, shard), logBytes);
  const hasCheckpoint = existsSync(checkpointFile(directory, shard));
  return {
    ...{ shard, floor, ...facts },
    log: await checkedFile(directory, `shard-${shard}.log`),
    checkpoint: hasCheckpoint ? await checkedFile(directory, `shard-${shard}.ckpt`) : null,
  };
}

function tell(
  { onProgress }: BackupOrder,
  step: BackupProgress['step'],
  shardsDone: number,
  shards: number,
  bytes: number,
): void {
  onProgress({ step, shardsDone, shards, bytes });
}
