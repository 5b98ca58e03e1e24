/**
 * The file of one checkpoint: a shard's small state at one applied index. Header, rows, count and
 * a checksum over all of it; whoever reads it verifies it whole before using a row.
 *
 * `[magic 8][version u32][shard u32][index u64][term u64][timeMs u64][membership length u32]
 * [membership]` then rows `[kind u8][key length u32][value length u32][key][value]` then
 * `[0 u8][row count u64][crc32 u32]`. In every version the last four bytes are the checksum of all
 * before: a flipped bit must not pass for a newer version.
 */
import { crc32 } from 'node:zlib';
import { continueCrc } from './crc.ts';
import { StorageError } from './errors.ts';
import { type Files, nodeFiles, readPieces } from './files.ts';
import { isTableKind, MAX_TABLE_KEY_BYTES, readUint64, writeUint64 } from './keys.ts';
import type { TableRow } from './level-db.ts';
import { type AppliedMark, unknownFormat } from './row-codec.ts';

const MAGIC = Buffer.from('HFCHKPT\0', 'latin1');
const VERSION = 1;
const HEAD_BYTES = 44;
const ROW_HEAD_BYTES = 9;
const END_BYTES = 13;
const CRC_BYTES = 4;
const MAX_MEMBERSHIP_BYTES = 1024 * 1024;
const MAX_VALUE_BYTES = 256 * 1024 * 1024;
const WRONG_CRC = 'checksum does not match';

export interface CheckpointHead {
  readonly applied: AppliedMark;
  /** The shard's membership as of the applied index, as the caller wrote it. */
  readonly membership: string;
}

export function encodeHead({ applied, membership }: CheckpointHead): Buffer {
  const text = Buffer.from(membership, 'utf8');
  const head = Buffer.alloc(HEAD_BYTES);
  MAGIC.copy(head);
  head.writeUInt32BE(VERSION, 8);
  head.writeUInt32BE(applied.shard, 12);
  writeUint64(head, applied.index, 16);
  writeUint64(head, applied.term, 24);
  writeUint64(head, applied.timeMs, 32);
  head.writeUInt32BE(text.length, 40);
  return Buffer.concat([head, text]);
}

export function encodeRow(row: TableRow): Buffer {
  const head = Buffer.allocUnsafe(ROW_HEAD_BYTES);
  head[0] = row.kind;
  head.writeUInt32BE(row.key.length, 1);
  head.writeUInt32BE(row.value.length, 5);
  return Buffer.concat([head, row.key, row.value]);
}

/** `crc` = over everything before. */
export function encodeEnd(rowCount: number, crc: number): Buffer {
  const end = Buffer.alloc(END_BYTES);
  writeUint64(end, rowCount, 1);
  end.writeUInt32BE(crc32(end.subarray(0, 9), crc), 9);
  return end;
}

/** A file read forwards in pieces; everything taken is checksummed. */
class CheckedReader {
  readonly #file: string;
  readonly #chunks: AsyncIterator<Buffer>;
  #buffer: Buffer = Buffer.alloc(0);
  crc = 0;

  constructor(file: string, chunks: AsyncIterator<Buffer>) {
    this.#file = file;
    this.#chunks = chunks;
  }

  async take(bytes: number): Promise<Buffer> {
    await this.#fill(bytes);
    const taken = this.#buffer.subarray(0, bytes);
    this.#buffer = this.#buffer.subarray(bytes);
    this.crc = continueCrc(this.crc, taken);
    return taken;
  }

  /** Knows nothing of the rest but its last four bytes. */
  async verifyRest(): Promise<void> {
    for (;;) {
      const known = Math.max(0, this.#buffer.length - CRC_BYTES);
      this.crc = continueCrc(this.crc, this.#buffer.subarray(0, known));
      this.#buffer = this.#buffer.subarray(known);
      const next = await this.#chunks.next();
      if (next.done === true) break;
      this.#buffer = Buffer.concat([this.#buffer, next.value]);
    }
    if (this.#buffer.length < CRC_BYTES) throw this.damaged('it is cut short');
    if (this.#buffer.readUInt32BE(0) !== this.crc) throw this.damaged(WRONG_CRC);
  }

  async expectEnd(): Promise<void> {
    const next = await this.#chunks.next();
    if (this.#buffer.length > 0 || next.done !== true) throw this.damaged('bytes after its end');
  }

  damaged(why: string): StorageError {
    return new StorageError('DATA_LOSS', `checkpoint ${this.#file}: ${why}`);
  }

  async #fill(bytes: number): Promise<void> {
    if (this.#buffer.length >= bytes) return;
    const parts = [this.#buffer];
    let length = this.#buffer.length;
    while (length < bytes) {
      const next = await this.#chunks.next();
      if (next.done === true) throw this.damaged('it is cut short');
      parts.push(next.value);
      length += next.value.length;
    }
    this.#buffer = Buffer.concat(parts);
  }
}

async function takeHead(reader: CheckedReader): Promise<CheckpointHead> {
  const head = await reader.take(HEAD_BYTES);
  if (!head.subarray(0, 8).equals(MAGIC)) throw reader.damaged('it is not a checkpoint');
  const version = head.readUInt32BE(8);
  if (version !== VERSION) {
    await reader.verifyRest();
    throw unknownFormat(`checkpoint format ${version}`);
  }
  const length = head.readUInt32BE(40);
  if (length > MAX_MEMBERSHIP_BYTES) throw reader.damaged(`membership of ${length} bytes`);
  const applied = {
    shard: head.readUInt32BE(12),
    index: readUint64(head, 16),
    term: readUint64(head, 24),
    timeMs: readUint64(head, 32),
  };
  return { applied, membership: (await reader.take(length)).toString('utf8') };
}

async function takeRow(reader: CheckedReader, kind: number): Promise<TableRow> {
  if (!isTableKind(kind)) throw reader.damaged(`unknown table ${kind}`);
  const lengths = await reader.take(ROW_HEAD_BYTES - 1);
  const [keyBytes, valueBytes] = [lengths.readUInt32BE(0), lengths.readUInt32BE(4)];
  if (keyBytes > MAX_TABLE_KEY_BYTES || valueBytes > MAX_VALUE_BYTES) {
    throw reader.damaged('row lengths are impossible');
  }
  const bytes = await reader.take(keyBytes + valueBytes);
  return { kind, key: bytes.subarray(0, keyBytes), value: bytes.subarray(keyBytes) };
}

/**
 * Gives each row to `onRow`, then the head. Throws `DATA_LOSS` for a damaged file, at the latest at
 * its end: rows may be used only when it has returned.
 */
export async function readCheckpointFile(
  file: string,
  onRow: (row: TableRow) => void | Promise<void>,
  files: Files = nodeFiles,
): Promise<CheckpointHead & { readonly rowCount: number }> {
  const pieces = readPieces(files, file);
  try {
    const reader = new CheckedReader(file, pieces);
    const head = await takeHead(reader);
    let rowCount = 0;
    for (;;) {
      const kind = (await reader.take(1))[0] as number;
      if (kind === 0) break;
      const row = await takeRow(reader, kind);
      rowCount++;
      await onRow(row);
    }
    await takeEnd(reader, rowCount);
    return { ...head, rowCount };
  } finally {
    await pieces.return(undefined);
  }
}

async function takeEnd(reader: CheckedReader, rowCount: number): Promise<void> {
  const count = readUint64(await reader.take(8), 0);
  const { crc } = reader;
  const stored = (await reader.take(4)).readUInt32BE(0);
  if (stored !== crc) throw reader.damaged(WRONG_CRC);
  if (count !== rowCount) throw reader.damaged(`${rowCount} rows instead of ${count}`);
  await reader.expectEnd();
}
