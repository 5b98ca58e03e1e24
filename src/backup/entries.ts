/**
 * A shard's log as a backup holds it, in its file and on its way there: entry after entry, each as
 * every replica has it (storage/README.md): portable header of 40 bytes, head, payload.
 */
import type { Entry, ShardId } from '../../raft/types.ts';
import {
  entryFrom,
  isEntryType,
  PORTABLE_HEADER_BYTES,
  readPortableHeader,
  verifyBody,
  writePortableHeader,
} from '../../storage/record.ts';
import { Failure } from '../failure.ts';

export function encodeEntries(shard: ShardId, entries: readonly Entry[]): Buffer {
  const parts = entries.flatMap((entry) => {
    const header = Buffer.alloc(PORTABLE_HEADER_BYTES);
    writePortableHeader(header, 0, shard, entry);
    return [header, entry.head, entry.payload];
  });
  return Buffer.concat(parts);
}

export interface ReadEntry {
  readonly entry: Entry;
  /** Header included. */
  readonly bytes: number;
}

/** undefined = it does not end within `source`. Throws when it is no intact entry of `shard`. */
export function entryAt(source: Buffer, at: number, shard: ShardId): ReadEntry | undefined {
  const bodyAt = at + PORTABLE_HEADER_BYTES;
  if (bodyAt > source.length) return undefined;
  const header = headerAt(source, at, shard);
  const end = bodyAt + header.bodyLength;
  if (end > source.length) return undefined;
  if (!verifyBody(source, bodyAt, header)) {
    throw new Failure(`shard ${shard}: the body of entry ${header.index} does not verify`);
  }
  return { entry: entryFrom(source, bodyAt, header), bytes: end - at };
}

function headerAt(source: Buffer, at: number, shard: ShardId) {
  try {
    const header = readPortableHeader(source, at);
    if (header.shard === shard && isEntryType(header.type)) return header;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  throw new Failure(`shard ${shard}: what follows in its log is no entry of it`);
}

/** Entries of a stream of pieces, in order; refuses a gap, a fall of term or time, and a rest. */
export async function* entriesOf(
  shard: ShardId,
  after: { readonly index: number; readonly term: number },
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<ReadEntry> {
  let buffer: Buffer = Buffer.alloc(0);
  let last = { ...after, timeMs: 0 };
  for await (const piece of pieces) {
    buffer = buffer.length === 0 ? Buffer.from(piece) : Buffer.concat([buffer, piece]);
    let at = 0;
    for (;;) {
      const read = entryAt(buffer, at, shard);
      if (read === undefined) break;
      assertFollows(shard, last, read.entry);
      last = read.entry;
      at += read.bytes;
      yield read;
    }
    buffer = buffer.subarray(at);
  }
  if (buffer.length > 0) throw new Failure(`shard ${shard}: its log is cut after ${last.index}`);
}

type Place = Pick<Entry, 'index' | 'term' | 'timeMs'>;

function assertFollows(shard: ShardId, last: Place, next: Place): void {
  const follows =
    next.index === last.index + 1 && next.term >= last.term && next.timeMs >= last.timeMs;
  if (follows) return;
  throw new Failure(`shard ${shard}: entry ${next.index} does not follow ${last.index}`);
}
