/**
 * The sidecar of a sealed segment: what a scan of it would find, so that a restart need not scan.
 * Only a cache: absent, stale or damaged means that the segment is scanned again.
 */
import { crc32 } from 'node:zlib';
import type { Entry, EntryType, LogIndex, ShardId, ShardState } from '../raft/types.ts';
import type { SegmentIdentity } from './record.ts';
import type { SegmentRun } from './shard-index.ts';
import { decodeShardState, encodeShardState } from './state-codec.ts';

const FORMAT_VERSION = 1;

export interface SidecarShard {
  readonly shard: ShardId;
  /** As of the segment's end. */
  readonly state: ShardState;
  /** Of the shard's log when the segment was sealed; the segment may hold no live entry of it. */
  readonly lastIndex: LogIndex;
  readonly run: SegmentRun | undefined;
}

export interface Sidecar extends SegmentIdentity {
  /** Where the segment's valid records end. */
  readonly end: number;
  readonly shards: readonly SidecarShard[];
}

type StoredEntry = [number, number, number, number, string, string, number];

interface StoredRun {
  samples: [number, number][];
  terms: [number, number][];
  configs: StoredEntry[];
}

interface Stored {
  version: number;
  sequence: number;
  epoch: number;
  end: number;
  shards: { shard: number; state: string; last: number; run?: StoredRun }[];
}

export function encodeSidecar(sidecar: Sidecar): Buffer {
  const stored: Stored = {
    version: FORMAT_VERSION,
    sequence: sidecar.sequence,
    epoch: sidecar.epoch,
    end: sidecar.end,
    shards: sidecar.shards.map(({ shard, state, lastIndex, run }) => ({
      shard,
      last: lastIndex,
      state: encodeShardState(state).toString('base64'),
      ...(run === undefined ? {} : { run: storedRun(run) }),
    })),
  };
  const text = Buffer.from(JSON.stringify(stored));
  const crc = Buffer.alloc(4);
  crc.writeUInt32LE(crc32(text));
  return Buffer.concat([crc, text]);
}

/** Undefined if the bytes are not the sidecar of exactly this segment, ending exactly here. */
export function decodeSidecar(
  source: Buffer,
  segment: SegmentIdentity,
  end: number,
): Sidecar | undefined {
  if (source.length < 4 || crc32(source.subarray(4)) !== source.readUInt32LE(0)) return undefined;
  const stored = JSON.parse(source.toString('utf8', 4)) as Stored;
  const same = stored.sequence === segment.sequence && stored.epoch === segment.epoch;
  if (stored.version !== FORMAT_VERSION || !same || stored.end !== end) return undefined;
  return {
    ...segment,
    end,
    shards: stored.shards.map(({ shard, state, last, run }) => ({
      shard,
      lastIndex: last,
      state: decodeShardState(Buffer.from(state, 'base64')),
      run: run === undefined ? undefined : loadedRun(run),
    })),
  };
}

function storedRun(run: SegmentRun): StoredRun {
  return {
    samples: run.samples.map(([index, position]) => [index, position]),
    terms: run.termStarts.map(({ term, index }) => [term, index]),
    configs: run.configs.map((entry) => [
      entry.index,
      entry.term,
      entry.type,
      entry.timeMs,
      Buffer.from(entry.head).toString('base64'),
      Buffer.from(entry.payload).toString('base64'),
      entry.bodyCrc,
    ]),
  };
}

function loadedRun(run: StoredRun): SegmentRun {
  return {
    samples: run.samples,
    termStarts: run.terms.map(([term, index]) => ({ term, index })),
    configs: run.configs.map(loadedEntry),
  };
}

function loadedEntry(stored: StoredEntry): Entry {
  const [index, term, type, timeMs, head, payload, bodyCrc] = stored;
  return {
    index,
    term,
    type: type as EntryType,
    timeMs,
    head: Buffer.from(head, 'base64'),
    payload: Buffer.from(payload, 'base64'),
    bodyCrc,
  };
}
