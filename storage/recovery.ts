/**
 * Opening a log directory: finds out what is there, tells a torn tail from damage, and rebuilds the
 * shard indexes. Nothing is changed on the disk here; `commit-log.ts` then starts a new segment.
 *
 * The synced point of the newest segment is the highest of: its initial content, the marker file,
 * and what any intact record states. Below it every record must verify, or the log is damaged. Past
 * it a record that does not verify is the torn end of a write that nobody was told of, and what
 * verifies is the *tail*: it may live in the page cache only, so it is written again elsewhere.
 */
import path from 'node:path';
import type { ShardId } from '../raft/types.ts';
import { StorageError } from './errors.ts';
import type { Files, Handle } from './files.ts';
import { promised, promisedDone } from './files.ts';
import type { Marker } from './marker.ts';
import { entryFrom, RECORD_HEADER_BYTES, RecordType } from './record.ts';
import type { BadPlace, ScannedRecord } from './scan.ts';
import { bytesBeforeZeros, laterSyncedPosition, scanRecords } from './scan.ts';
import type { SegmentHeader } from './segment.ts';
import {
  decodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  segmentName,
  sequenceOf,
  sidecarName,
} from './segment.ts';
import { ShardIndex } from './shard-index.ts';
import type { Sidecar } from './sidecar.ts';
import { decodeSidecar } from './sidecar.ts';
import { decodeShardState } from './state-codec.ts';

/** A segment that stays as it is. */
export interface FoundSegment extends SegmentHeader {
  /** Where its valid records end. */
  readonly end: number;
  readonly fileBytes: number;
}

export interface RecoveryReport {
  readonly segments: number;
  readonly scannedSegments: number;
  readonly scannedRecords: number;
  readonly copiedRecords: number;
  readonly copiedBytes: number;
  /** Cut off behind the tail: the torn end of a write that was never acknowledged. */
  readonly tornBytes: number;
  readonly durationMs: number;
}

export interface Recovery {
  readonly segments: readonly FoundSegment[];
  readonly shards: Map<ShardId, ShardIndex>;
  /** Intact records of the newest segment past its synced point, not in `shards` yet. */
  readonly tail: readonly ScannedRecord[];
  readonly tornBytes: number;
  readonly scannedRecords: number;
  /** Segments that were scanned, so that a sidecar can be written for them. */
  readonly sidecars: readonly Sidecar[];
  /** Files that belong to no segment of the log: left over from a crash. */
  readonly leftovers: readonly string[];
}

interface OpenedSegment extends SegmentHeader {
  readonly file: string;
  readonly handle: Handle;
  readonly fileBytes: number;
}

export async function recover(
  files: Files,
  directory: string,
  names: readonly string[],
  marker: Marker | undefined,
): Promise<Recovery> {
  const sequences = contiguousSuffix(names);
  const found = new Recoverer(files, directory);
  const headers: OpenedSegment[] = [];
  try {
    for (const sequence of sequences) headers.push(await found.openSegment(sequence));
    for (const [i, segment] of headers.entries()) {
      const next = headers[i + 1];
      if (next !== undefined) await found.takeSealed(segment, next.previousEnd);
      else await found.takeNewest(segment, marker);
    }
  } finally {
    for (const { handle } of headers) {
      await promisedDone((done) => files.close(handle, done));
    }
  }
  return { ...found.result(), leftovers: leftoversAmong(names, sequences) };
}

/**
 * Segments are removed oldest first, but a power cut may undo one removal and keep a later one: the
 * segments before a gap are dead. If they are not, the entries missing in the gap will tell.
 */
function contiguousSuffix(names: readonly string[]): number[] {
  const sequences = names
    .map(sequenceOf)
    .filter((sequence) => sequence !== undefined)
    .sort((a, b) => a - b);
  let first = sequences.length - 1;
  while (first > 0 && sequences[first - 1] === sequences[first]! - 1) first -= 1;
  return sequences.slice(Math.max(first, 0));
}

function leftoversAmong(names: readonly string[], sequences: readonly number[]): string[] {
  const live = new Set(sequences.flatMap((each) => [segmentName(each), sidecarName(each)]));
  return names.filter((name) => /^\d{8}\.(log|idx|log\.tmp)$/.test(name) && !live.has(name));
}

/** Applies one record to the indexes; an impossible sequence of records is damage. */
export function applyRecord(
  shards: Map<ShardId, ShardIndex>,
  record: ScannedRecord,
  sequence: number,
  position: number,
): void {
  const { header, raw } = record;
  const index = shards.get(header.shard);
  if (header.type === RecordType.state) {
    const state = decodeShardState(raw.subarray(RECORD_HEADER_BYTES));
    if (index !== undefined) index.setState(state);
    else shards.set(header.shard, new ShardIndex(header.shard, state, true));
    return;
  }
  if (index === undefined) throw new Error(`entry of shard ${header.shard} before its state`);
  index.append(entryFrom(raw, RECORD_HEADER_BYTES, header), { sequence, position });
}

export function damaged(file: string, bad: BadPlace): StorageError {
  const entry =
    bad.header === undefined
      ? ''
      : ` (shard ${bad.header.shard}, index ${bad.header.index}, term ${bad.header.term})`;
  return new StorageError(
    'DATA_LOSS',
    `${file} at byte ${bad.position}: ${bad.reason}${entry}. These bytes were known to be on the ` +
      'disk, so the disk has lost or changed them. Nothing was modified. Restore the directory ' +
      'from a copy, or replace this node: remove it from the cluster and add it with an empty ' +
      'directory.',
  );
}

class Recoverer {
  private readonly files: Files;
  private readonly directory: string;
  private readonly shards = new Map<ShardId, ShardIndex>();
  private readonly segments: FoundSegment[] = [];
  private readonly sidecars: Sidecar[] = [];
  private tail: ScannedRecord[] = [];
  private tornBytes = 0;
  private scannedRecords = 0;

  constructor(files: Files, directory: string) {
    this.files = files;
    this.directory = directory;
  }

  result(): Omit<Recovery, 'leftovers'> {
    const { segments, shards, tail, tornBytes, scannedRecords, sidecars } = this;
    return { segments, shards, tail, tornBytes, scannedRecords, sidecars };
  }

  async openSegment(sequence: number): Promise<OpenedSegment> {
    const file = path.join(this.directory, segmentName(sequence));
    const handle = await promised<Handle>((done) => this.files.open(file, 'read', done));
    const fileBytes = await promised<number>((done) => this.files.size(handle, done));
    const block = Buffer.alloc(SEGMENT_HEADER_BYTES);
    const got = await promised<number>((done) => this.files.read(handle, block, 0, done));
    const header = decodeSegmentHeader(block.subarray(0, got), file);
    if (header.sequence !== sequence) {
      throw new StorageError('DATA_LOSS', `${file} says that it is segment ${header.sequence}`);
    }
    return { ...header, file, handle, fileBytes };
  }

  /** A segment whose end its successor states: all of it was synced. */
  async takeSealed(segment: OpenedSegment, end: number): Promise<void> {
    const sidecar = await this.readSidecar(segment, end);
    if (sidecar !== undefined) this.applySidecar(segment, sidecar);
    else await this.scanSealed(segment, end);
    this.keep(segment, end);
  }

  async takeNewest(segment: OpenedSegment, marker: Marker | undefined): Promise<void> {
    const mine = marker?.epoch === segment.epoch && marker.sequence === segment.sequence;
    if (mine && marker.clean) return this.takeSealed(segment, marker.synced);
    let known = Math.max(segment.initialEnd, mine ? marker.synced : 0);
    const pending: ScannedRecord[] = [];
    let applied = 0;
    const visit = (record: ScannedRecord): void => {
      known = Math.max(known, record.syncedPosition);
      pending.push(record);
      while (applied < pending.length && endOf(pending[applied]!) <= known) {
        this.apply(segment, pending[applied]!);
        applied += 1;
      }
      if (applied > 1024) applied -= pending.splice(0, applied).length;
    };
    const { handle, fileBytes } = segment;
    const from = SEGMENT_HEADER_BYTES;
    const scan = await scanRecords(this.files, handle, segment, from, fileBytes, visit);
    this.scannedRecords += scan.records;
    if (scan.bad !== undefined) await this.judge(segment, scan.bad, known);
    else if (known > scan.end) throw damaged(segment.file, cutAt(scan.end));
    this.tail = pending.slice(applied);
    this.rememberSidecar(segment, known);
    this.keep(segment, known);
  }

  /** A record does not verify: damage, or the torn end of the last write? */
  private async judge(segment: OpenedSegment, bad: BadPlace, known: number): Promise<void> {
    const { handle, fileBytes } = segment;
    if (bad.position < known) throw damaged(segment.file, bad);
    const at = bad.position;
    const later = await laterSyncedPosition(this.files, handle, segment, at, fileBytes);
    if (later > at) throw damaged(segment.file, bad);
    this.tornBytes = await bytesBeforeZeros(this.files, handle, at, fileBytes);
  }

  private async scanSealed(segment: OpenedSegment, end: number): Promise<void> {
    const { handle } = segment;
    const from = SEGMENT_HEADER_BYTES;
    const visit = (record: ScannedRecord): void => this.apply(segment, record);
    const scan = await scanRecords(this.files, handle, segment, from, end, visit);
    this.scannedRecords += scan.records;
    if (scan.bad !== undefined) throw damaged(segment.file, scan.bad);
    this.rememberSidecar(segment, end);
  }

  private apply(segment: OpenedSegment, record: ScannedRecord): void {
    try {
      applyRecord(this.shards, record, segment.sequence, record.position);
    } catch (error) {
      const reason = `records contradict each other: ${(error as Error).message}`;
      throw damaged(segment.file, { position: record.position, reason, header: record.header });
    }
  }

  private applySidecar(segment: OpenedSegment, sidecar: Sidecar): void {
    try {
      for (const { shard, state, lastIndex, run } of sidecar.shards) {
        let index = this.shards.get(shard);
        if (index === undefined) {
          const atStart = { ...state, logStart: { index: 0, term: 0 } };
          index = new ShardIndex(shard, run === undefined ? state : atStart, true);
          this.shards.set(shard, index);
        }
        const { sequence } = segment;
        if (run !== undefined) index.appendRun(run, sequence, state.logStart.index, lastIndex);
        else index.endAt(lastIndex, state.logStart.index);
        index.setState(state);
      }
    } catch (error) {
      const reason = `its index contradicts older segments: ${(error as Error).message}`;
      throw damaged(segment.file, { position: 0, reason });
    }
  }

  private async readSidecar(segment: OpenedSegment, end: number): Promise<Sidecar | undefined> {
    const file = path.join(this.directory, sidecarName(segment.sequence));
    try {
      const handle = await promised<Handle>((done) => this.files.open(file, 'read', done));
      try {
        const bytes = await promised<number>((done) => this.files.size(handle, done));
        const source = Buffer.alloc(bytes);
        const got = await promised<number>((done) => this.files.read(handle, source, 0, done));
        return decodeSidecar(source.subarray(0, got), segment, end);
      } finally {
        await promisedDone((done) => this.files.close(handle, done));
      }
    } catch {
      return undefined;
    }
  }

  private rememberSidecar(segment: OpenedSegment, end: number): void {
    const { epoch, sequence } = segment;
    this.sidecars.push({ epoch, sequence, end, shards: sidecarShards(this.shards, sequence) });
  }

  private keep(segment: OpenedSegment, end: number): void {
    const { sequence, epoch, previousEnd, initialEnd, fileBytes } = segment;
    this.segments.push({ sequence, epoch, previousEnd, initialEnd, end, fileBytes });
  }
}

/** What the indexes say about the segment that was applied last. */
export function sidecarShards(
  shards: ReadonlyMap<ShardId, ShardIndex>,
  sequence: number,
): Sidecar['shards'] {
  return [...shards.values()].map((index) => ({
    shard: index.shard,
    state: index.state,
    lastIndex: index.lastIndex,
    run: index.segmentRun(sequence),
  }));
}

function endOf(record: ScannedRecord): number {
  return record.position + record.raw.length;
}

function cutAt(position: number): BadPlace {
  return { position, reason: 'the file ends before its synced point' };
}
