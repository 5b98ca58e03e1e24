/**
 * What an opened LevelDB is worth: whole, empty, or to be thrown away. It can always be built
 * again from checkpoints and the log, so doubt is enough to throw it away.
 */
import type { LogIndex, ShardId } from '../raft/types.ts';
import { findGap, type KeptBatch } from './batch-window.ts';
import { StorageError } from './errors.ts';
import type { IndexDrop } from './index-dropper.ts';
import type { StoredRow } from './index-reader.ts';
import { decodeKey, FORMAT_VERSION, formatKey, KeyKind, type KeyRange, kindRange } from './keys.ts';
import {
  type AppliedMark,
  decodeAppliedBody,
  decodeBatchBody,
  decodeFormatBody,
  decodeIntegerBody,
  unknownFormat,
  unseal,
} from './row-codec.ts';

export type StateVerdict =
  | { readonly kind: 'ok' }
  | { readonly kind: 'empty' }
  | { readonly kind: 'rebuild'; readonly reason: string };

/** Where a shard's log begins (entries up to `start` are gone) and ends. */
export interface LogEnds {
  readonly start: LogIndex;
  readonly last: LogIndex;
}

export interface StateReads {
  all(range: KeyRange): Promise<readonly StoredRow[]>;
  get(key: Uint8Array): Promise<Uint8Array | undefined>;
  isEmpty(): Promise<boolean>;
}

export interface StateContent {
  readonly verdict: StateVerdict;
  /** Ascending. */
  readonly batches: readonly KeptBatch[];
  readonly applied: ReadonlyMap<ShardId, AppliedMark>;
  readonly drops: readonly IndexDrop[];
  /** Shards of which nothing counts: a swap was under way, or their log starts after it. */
  readonly swaps: readonly ShardId[];
}

const NO_CONTENT = { batches: [], applied: new Map<ShardId, AppliedMark>(), drops: [], swaps: [] };

export function rebuildBecause(reason: string): StateContent {
  return { verdict: { kind: 'rebuild', reason }, ...NO_CONTENT };
}

export async function examineState(
  reads: StateReads,
  identity: string,
  logEnds: ReadonlyMap<ShardId, LogEnds>,
): Promise<StateContent> {
  try {
    if (await reads.isEmpty()) return { verdict: { kind: 'empty' }, ...NO_CONTENT };
    const misfit = await formatMisfit(reads, identity);
    if (misfit !== undefined) return rebuildBecause(misfit);
    const batches = await readBatches(reads);
    const applied = await readApplied(reads);
    const begun = await readSwaps(reads);
    const reason = findGap(batches) ?? outlived(applied, logEnds);
    if (reason !== undefined) return rebuildBecause(reason);
    const swaps = [...new Set([...begun, ...behind(applied, logEnds)])];
    return { verdict: { kind: 'ok' }, batches, applied, drops: await readDrops(reads), swaps };
  } catch (error) {
    if (error instanceof StorageError && error.code === 'DATA_LOSS') {
      return rebuildBecause(error.message);
    }
    throw error;
  }
}

export async function readBatches(reads: StateReads): Promise<readonly KeptBatch[]> {
  const stored = await reads.all(kindRange(KeyKind.batch));
  return stored.map(([key, value]) => decodeBatchBody(decodeKey(key).number, unseal(key, value)));
}

export async function readApplied(reads: StateReads): Promise<Map<ShardId, AppliedMark>> {
  const applied = new Map<ShardId, AppliedMark>();
  for (const [key, value] of await reads.all(kindRange(KeyKind.applied))) {
    const { shard } = decodeKey(key);
    applied.set(shard, decodeAppliedBody(shard, unseal(key, value)));
  }
  return applied;
}

async function readSwaps(reads: StateReads): Promise<readonly ShardId[]> {
  const stored = await reads.all(kindRange(KeyKind.swap));
  return stored.map(([key, value]) => {
    decodeIntegerBody(unseal(key, value));
    return decodeKey(key).shard;
  });
}

async function readDrops(reads: StateReads): Promise<readonly IndexDrop[]> {
  const stored = await reads.all(kindRange(KeyKind.indexDrop));
  return stored.map(([key, value]) => {
    const { shard, queueId } = decodeKey(key);
    return { shard, queueId, startOffset: decodeIntegerBody(unseal(key, value)) };
  });
}

async function formatMisfit(reads: StateReads, identity: string): Promise<string | undefined> {
  const stored = await reads.get(formatKey());
  if (stored === undefined) return 'it was never completed, or its first batch is lost';
  const format = decodeFormatBody(unseal(formatKey(), stored));
  if (format.version > FORMAT_VERSION) throw unknownFormat(`state format ${format.version}`);
  if (format.identity === identity) return undefined;
  return `it belongs to ${format.identity}, not to ${identity}`;
}

/** Effects must not outlive the log: whoever wrote them may have written others, too. */
function outlived(
  applied: ReadonlyMap<ShardId, AppliedMark>,
  logEnds: ReadonlyMap<ShardId, LogEnds>,
): string | undefined {
  for (const [shard, { last }] of logEnds) {
    const index = applied.get(shard)?.index ?? 0;
    if (index > last) return `shard ${shard} is applied through ${index}, its log ends at ${last}`;
  }
  return undefined;
}

/** What lies between `applied` and the start of these logs is in a checkpoint only. */
function behind(
  applied: ReadonlyMap<ShardId, AppliedMark>,
  logEnds: ReadonlyMap<ShardId, LogEnds>,
): readonly ShardId[] {
  const found = [...logEnds].filter(([shard, { start }]) => {
    return (applied.get(shard)?.index ?? 0) < start;
  });
  return found.map(([shard]) => shard);
}
