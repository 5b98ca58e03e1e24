/**
 * The sidecar of a sealed segment: what a scan of it would find, so that a restart need not scan.
 * Only a cache: absent, stale or damaged means that the segment is scanned again.
 */
import { crc32 } from 'node:zlib';
import type { Entry, EntryType, LogIndex, ReplicaId, ShardId, ShardState } from '../raft/types.ts';
import type { LogShards } from './log-shards.ts';
import type { SegmentIdentity } from './record.ts';
import type { SegmentRun } from './shard-index.ts';
import { decodeShardState, encodeShardState } from './state-codec.ts';

const FORMAT_VERSION = 2;

export interface SidecarShard {
  readonly shard: ShardId;
  /** As of the segment's end. */
  readonly state: ShardState;
  /** Of the shard's log when the segment was sealed; the segment may hold no live entry of it. */
  readonly lastIndex: LogIndex;
  readonly run: SegmentRun | undefined;
  /** The shard was created or reset in this segment: what older ones hold of it is void. */
  readonly born: boolean;
  /** Of entries of this segment or of older ones. */
  readonly repairs: readonly (readonly [index: LogIndex, position: number])[];
}

export interface Sidecar extends SegmentIdentity {
  /** Where the segment's valid records end. */
  readonly end: number;
  /** All that are there at the segment's end: any other has left. */
  readonly shards: readonly SidecarShard[];
  readonly tombstones: readonly (readonly [shard: ShardId, replica: ReplicaId])[];
}

/** What the indexes say about the segment that they took in last. */
export function sidecarOf(shards: LogShards, segment: SegmentIdentity, end: number): Sidecar {
  const { epoch, sequence } = segment;
  return {
    epoch,
    sequence,
    end,
    tombstones: [...shards.tombstones],
    shards: [...shards.live.values()].map((index) => ({
      shard: index.shard,
      state: index.state,
      lastIndex: index.lastIndex,
      run: index.segmentRun(sequence),
      born: index.bornIn === sequence,
      repairs: index.repairsIn(sequence),
    })),
  };
}

type StoredEntry = [number, number, number, number, string, string, number];

interface StoredRun {
  samples: [number, number][];
  terms: [number, number][];
  configs: StoredEntry[];
  damaged: number[];
}

interface StoredShard {
  shard: number;
  state: string;
  last: number;
  born: boolean;
  repairs: [number, number][];
  run?: StoredRun;
}

interface Stored {
  version: number;
  sequence: number;
  epoch: number;
  end: number;
  shards: StoredShard[];
  tombstones: [number, number][];
}

export function encodeSidecar(sidecar: Sidecar): Buffer {
  const stored: Stored = {
    version: FORMAT_VERSION,
    sequence: sidecar.sequence,
    epoch: sidecar.epoch,
    end: sidecar.end,
    shards: sidecar.shards.map(({ shard, state, lastIndex, run, born, repairs }) => ({
      shard,
      last: lastIndex,
      state: encodeShardState(state).toString('base64'),
      born,
      repairs: repairs.map(([index, position]) => [index, position]),
      ...(run === undefined ? {} : { run: storedRun(run) }),
    })),
    tombstones: sidecar.tombstones.map(([shard, replica]) => [shard, replica]),
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
    tombstones: stored.tombstones,
    shards: stored.shards.map(({ shard, state, last, run, born, repairs }) => ({
      shard,
      lastIndex: last,
      born,
      repairs,
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
    damaged: [...run.damaged],
  };
}

function loadedRun(run: StoredRun): SegmentRun {
  return {
    samples: run.samples,
    termStarts: run.terms.map(([term, index]) => ({ term, index })),
    configs: run.configs.map(loadedEntry),
    damaged: run.damaged,
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
