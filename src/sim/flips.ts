/**
 * Bits that turn over on a disk at rest: where one may be turned so that the log can know of it,
 * and what the log may then say when it is opened (storage/README.md, "Damage").
 */
import { EntryType, type LogIndex, type ShardId } from '../../raft/types.ts';
import {
  type PortableHeader,
  RECORD_HEADER_BYTES,
  RECORD_MAGIC,
  RecordType,
  readRecordHeader,
  recordSyncedPosition,
  verifyBody,
  verifyRecordHeader,
} from '../../storage/record.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from '../../storage/segment.ts';
import { decodeShardState } from '../../storage/state-codec.ts';
import type { SimFiles } from './files.ts';
import type { Random } from './random.ts';

export type FlippedPart = 'body' | 'header';

/** What was hit on one disk since its directory was new. */
export class Flips {
  readonly #bodies = new Set<string>();
  readonly #suspects = new Set<ShardId>();
  #hasLoss = false;
  #isAny = false;

  /** Nothing on this disk may be the last copy any more. */
  get isAny(): boolean {
    return this.#isAny;
  }

  /** Of a sidecar, a marker, a checkpoint, a row: all that is made of the log. */
  hitOther(): void {
    this.#isAny = true;
  }

  hit({ type, flags, shard, index }: PortableHeader, part: FlippedPart): void {
    this.#isAny = true;
    if (part === 'header') this.#hasLoss = true;
    const entryType = type === RecordType.repair ? flags : type;
    const isPlain = entryType === EntryType.noop || entryType === EntryType.command;
    if (isPlain) this.#bodies.add(`${shard}/${index}`);
    else this.#suspects.add(shard);
  }

  /** A record is lost that nobody can name, or one that may have held a vote or members. */
  maySuspect(shard: ShardId): boolean {
    return this.#hasLoss || this.#suspects.has(shard);
  }

  mayDamage(shard: ShardId, index: LogIndex): boolean {
    return this.#hasLoss || this.#bodies.has(`${shard}/${index}`);
  }

  clear(): void {
    this.#bodies.clear();
    this.#suspects.clear();
    this.#hasLoss = false;
    this.#isAny = false;
  }
}

interface Placed {
  readonly position: number;
  readonly header: PortableHeader;
}

/** Turns a bit of a record that the log knows to have been synced; undefined = there is none. */
export function flipRecord(
  files: SimFiles,
  directory: string,
  part: FlippedPart,
  random: Random,
): PortableHeader | undefined {
  const names = segmentsIn(files, directory);
  // A start reads the newest segment whole; of the others it trusts the sidecars.
  const isNewestFirst = random.chance(0.6);
  for (const name of isNewestFirst ? [...names].reverse() : random.shuffled(names)) {
    const next = names[names.indexOf(name) + 1];
    const records = syncedRecords(files, name, next).filter((one) => {
      return part === 'body' ? one.header.bodyLength > 0 : !isBirth(files.durable(name), one);
    });
    if (records.length === 0) continue;
    const { position, header } = random.pick(records);
    const [from, bytes] =
      part === 'header'
        ? [position, RECORD_HEADER_BYTES]
        : [position + RECORD_HEADER_BYTES, header.bodyLength];
    files.flipBit(name, from + random.between(0, bytes - 1), random);
    return header;
  }
  return undefined;
}

function segmentsIn(files: SimFiles, directory: string): string[] {
  return files.names
    .in(directory)
    .filter((name) => name.endsWith('.log'))
    .map((name) => `${directory}/${name}`)
    .filter((name) => files.names.isDurable(name));
}

/**
 * What stands beyond is told from the torn end of a write by nobody: not defended. The record that
 * proves the rest synced lies beyond itself, so that it stays.
 */
function syncedRecords(files: SimFiles, name: string, next: string | undefined): Placed[] {
  const bytes = files.durable(name);
  const own = decodeSegmentHeader(bytes.subarray(0, SEGMENT_HEADER_BYTES), name);
  const { records, synced } = recordsIn(bytes, own);
  let end = Math.max(own.initialEnd, synced);
  if (next !== undefined) {
    const block = files.durable(next).subarray(0, SEGMENT_HEADER_BYTES);
    end = decodeSegmentHeader(block, next).previousEnd;
  }
  return records.filter(({ position, header }) => {
    return position + RECORD_HEADER_BYTES + header.bodyLength <= end;
  });
}

/** Also behind places where no header verifies. */
function recordsIn(
  bytes: Buffer,
  segment: { readonly epoch: number; readonly sequence: number },
): { readonly records: Placed[]; readonly synced: number } {
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(RECORD_MAGIC);
  const records: Placed[] = [];
  let synced = 0;
  let at = bytes.indexOf(magic, SEGMENT_HEADER_BYTES);
  while (at >= 0 && at + RECORD_HEADER_BYTES <= bytes.length) {
    let from = at + 1;
    if (verifyRecordHeader(bytes, at, segment, at)) {
      const header = readRecordHeader(bytes, at);
      records.push({ position: at, header });
      synced = Math.max(synced, recordSyncedPosition(bytes, at));
      from = at + RECORD_HEADER_BYTES + header.bodyLength;
    }
    at = bytes.indexOf(magic, from);
  }
  return { records, synced };
}

/** The only trace of a shard that was just created: losing it is not defended. */
function isBirth(bytes: Buffer, { position, header }: Placed): boolean {
  if (header.type !== RecordType.state) return false;
  const bodyAt = position + RECORD_HEADER_BYTES;
  if (!verifyBody(bytes, bodyAt, header)) return true;
  const { hardState } = decodeShardState(bytes.subarray(bodyAt, bodyAt + header.bodyLength));
  return hardState.term === 0 && hardState.commit === 0;
}

/** Turns a bit of any file of that kind that is on the disk. */
export function flipFile(
  files: SimFiles,
  directory: string,
  isOf: (name: string) => boolean,
  random: Random,
): boolean {
  const names = files.names.in(directory).filter(isOf);
  const able = names
    .map((name) => `${directory}/${name}`)
    .filter((name) => files.names.isDurable(name) && files.durable(name).length > 0);
  if (able.length === 0) return false;
  const name = random.pick(able);
  files.flipBit(name, random.between(0, files.durable(name).length - 1), random);
  return true;
}
