/**
 * Opening a log directory: finds out what is there, tells a torn tail from damage, and rebuilds the
 * shard indexes. Nothing is changed on the disk here; `commit-log.ts` then starts a new segment.
 *
 * The synced point of the newest segment is the highest of: its initial content, the marker file,
 * and what any intact record states. What does not verify below it is damage (`replay.ts`). Past
 * it a record that does not verify is the torn end of a write that nobody was told of, and what
 * verifies is the *tail*: it may live in the page cache only, so it is written again elsewhere.
 */
import path from 'node:path';
import { lostBytes, type StorageError } from './errors.ts';
import type { Files, Handle } from './files.ts';
import { promised, promisedDone } from './files.ts';
import type { Marker } from './marker.ts';
import { Replay } from './replay.ts';
import type { BadPlace, ScannedRecord } from './scan.ts';
import { bytesBeforeZeros, laterRecords, scanRecords } from './scan.ts';
import type { SegmentHeader } from './segment.ts';
import {
  decodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  segmentName,
  sequenceOf,
  sidecarName,
} from './segment.ts';
import type { Sidecar } from './sidecar.ts';
import { decodeSidecar, sidecarOf } from './sidecar.ts';

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
  /** Lines for the operator; empty when nothing is damaged. */
  readonly damage: readonly string[];
}

/** Bytes that were once on the disk are not there any more. */
export interface DamagedPlace {
  readonly file: string;
  readonly bad: BadPlace;
}

export interface Recovery {
  readonly segments: readonly FoundSegment[];
  readonly replay: Replay;
  /** Where no header verifies: records that nobody knows of are lost. */
  readonly losses: readonly DamagedPlace[];
  /** Bodies that do not match their intact headers, as far as segments were scanned. */
  readonly bodies: readonly DamagedPlace[];
  /** Intact records of the newest segment past its synced point, not replayed yet. */
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

export function damaged(file: string, bad: BadPlace): StorageError {
  const entry =
    bad.header === undefined
      ? ''
      : ` (shard ${bad.header.shard}, index ${bad.header.index}, term ${bad.header.term})`;
  return lostBytes(`${file} at byte ${bad.position}: ${bad.reason}${entry}`);
}

class Recoverer {
  private readonly files: Files;
  private readonly directory: string;
  private readonly replay = new Replay();
  private readonly segments: FoundSegment[] = [];
  private readonly sidecars: Sidecar[] = [];
  private readonly losses: DamagedPlace[] = [];
  private readonly bodies: DamagedPlace[] = [];
  private tail: readonly ScannedRecord[] = [];
  private tornBytes = 0;
  private scannedRecords = 0;

  constructor(files: Files, directory: string) {
    this.files = files;
    this.directory = directory;
  }

  result(): Omit<Recovery, 'leftovers'> {
    const { segments, replay, tail, tornBytes, scannedRecords, sidecars } = this;
    const { losses, bodies } = this;
    return { segments, replay, tail, tornBytes, scannedRecords, sidecars, losses, bodies };
  }

  async openSegment(sequence: number): Promise<OpenedSegment> {
    const file = path.join(this.directory, segmentName(sequence));
    const handle = await promised<Handle>((done) => this.files.open(file, 'read', done));
    const fileBytes = await promised<number>((done) => this.files.size(handle, done));
    const block = Buffer.alloc(SEGMENT_HEADER_BYTES);
    const got = await promised<number>((done) => this.files.read(handle, block, 0, done));
    const header = decodeSegmentHeader(block.subarray(0, got), file);
    if (header.sequence !== sequence) {
      throw lostBytes(`${file} says that it is segment ${header.sequence}`);
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

  /** A place where no header verifies is a loss if anything behind it was synced; else torn. */
  async takeNewest(segment: OpenedSegment, marker: Marker | undefined): Promise<void> {
    const mine = marker?.epoch === segment.epoch && marker.sequence === segment.sequence;
    if (mine && marker.clean) return this.takeSealed(segment, marker.synced);
    const atLeast = Math.max(segment.initialEnd, mine ? marker.synced : 0);
    const pending = new PendingRecords(atLeast, (record) => this.apply(segment, record));
    const { handle, fileBytes } = segment;
    let from: number | undefined = SEGMENT_HEADER_BYTES;
    while (from !== undefined) {
      const visit = (record: ScannedRecord): void => pending.add(record);
      const scan = await scanRecords(this.files, handle, segment, from, fileBytes, visit);
      this.scannedRecords += scan.records;
      const bad = scan.bad ?? cutAt(scan.end);
      const later = await laterRecords(this.files, handle, segment, scan.end, fileBytes);
      pending.learn(later.synced);
      if (scan.end >= pending.known) break;
      this.lose(segment, bad);
      from = later.first;
    }
    this.tail = pending.tail();
    const tailEnd = Math.max(pending.known, ...this.tail.slice(-1).map(endOf));
    this.tornBytes = await bytesBeforeZeros(this.files, handle, tailEnd, fileBytes);
    this.rememberSidecar(segment, pending.known);
    this.keep(segment, pending.known);
  }

  private async scanSealed(segment: OpenedSegment, end: number): Promise<void> {
    const { handle } = segment;
    const visit = (record: ScannedRecord): void => this.apply(segment, record);
    let from: number | undefined = SEGMENT_HEADER_BYTES;
    while (from !== undefined) {
      const scan = await scanRecords(this.files, handle, segment, from, end, visit);
      this.scannedRecords += scan.records;
      if (scan.bad === undefined) break;
      this.lose(segment, scan.bad);
      from = (await laterRecords(this.files, handle, segment, scan.end, end)).first;
    }
    this.rememberSidecar(segment, end);
  }

  private apply(segment: OpenedSegment, record: ScannedRecord): void {
    const { position, header } = record;
    if (!record.intact) {
      const reason = 'the body does not match its CRC';
      this.bodies.push({ file: segment.file, bad: { position, reason, header } });
    }
    try {
      const inHead = position < segment.initialEnd;
      this.replay.apply(record, { sequence: segment.sequence, position }, inHead);
    } catch (error) {
      const reason = `records contradict each other: ${(error as Error).message}`;
      throw damaged(segment.file, { position, reason, header });
    }
  }

  private applySidecar(segment: OpenedSegment, sidecar: Sidecar): void {
    try {
      this.replay.applySidecar(sidecar);
    } catch (error) {
      const reason = `its index contradicts older segments: ${(error as Error).message}`;
      throw damaged(segment.file, { position: 0, reason });
    }
  }

  private lose(segment: OpenedSegment, bad: BadPlace): void {
    this.losses.push({ file: segment.file, bad });
    this.replay.loss();
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

  /** After a loss every open must meet it again. */
  private rememberSidecar(segment: OpenedSegment, end: number): void {
    if (!this.replay.hasLoss) this.sidecars.push(sidecarOf(this.replay.shards, segment, end));
  }

  private keep(segment: OpenedSegment, end: number): void {
    const { sequence, epoch, previousEnd, initialEnd, fileBytes } = segment;
    this.segments.push({ sequence, epoch, previousEnd, initialEnd, end, fileBytes });
  }
}

/** Records of the newest segment: applied once they are known to have been synced. */
class PendingRecords {
  known: number;
  private readonly apply: (record: ScannedRecord) => void;
  private waiting: ScannedRecord[] = [];
  private applied = 0;

  constructor(known: number, apply: (record: ScannedRecord) => void) {
    this.known = known;
    this.apply = apply;
  }

  add(record: ScannedRecord): void {
    this.waiting.push(record);
    this.learn(record.syncedPosition);
  }

  learn(synced: number): void {
    this.known = Math.max(this.known, synced);
    const { waiting } = this;
    while (this.applied < waiting.length && endOf(waiting[this.applied]!) <= this.known) {
      this.apply(waiting[this.applied]!);
      this.applied += 1;
    }
    if (this.applied > 1024) this.applied -= waiting.splice(0, this.applied).length;
  }

  /** What nobody was told of, up to the first body that the crash tore. */
  tail(): readonly ScannedRecord[] {
    const rest = this.waiting.slice(this.applied);
    const torn = rest.findIndex(({ intact }) => !intact);
    return torn === -1 ? rest : rest.slice(0, torn);
  }
}

function endOf(record: ScannedRecord): number {
  return record.position + record.raw.length;
}

function cutAt(position: number): BadPlace {
  return { position, reason: 'the file ends before its synced point' };
}
