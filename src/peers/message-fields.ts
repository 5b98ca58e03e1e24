/** Fields that several messages share, each checked against what Raft can mean by it. */
import { crc32 } from 'node:zlib';
import type { Entry, EntryId } from '../../raft/types.ts';
import { EMPTY_BYTES } from '../../raft/types.ts';
import type { PortableHeader } from '../../storage/record.ts';
import { isEntryType, PORTABLE_HEADER_BYTES, readPortableHeader } from '../../storage/record.ts';
import type { ByteReader } from './byte-reader.ts';
import { MalformedFrameError } from './malformed.ts';
import { MAX_TERM } from './message-format.ts';

export interface Address {
  readonly shard: number;
  readonly from: number;
  readonly to: number;
  readonly term: number;
}

export function check(condition: boolean, problem: string): asserts condition {
  if (!condition) throw new MalformedFrameError(problem);
}

export function positive(term: number): number {
  check(term > 0, 'term 0 in a message that no replica sends in it');
  return term;
}

export function readFlags(head: ByteReader, mask: number): number {
  const flags = head.u8();
  check((flags & ~mask) === 0, 'unknown flags');
  return flags;
}

/** The start of a log may be 0/0; no entry is. */
export function readEntryId(head: ByteReader): EntryId {
  const index = head.varint();
  const term = head.varint();
  check(term <= MAX_TERM && (index === 0) === (term === 0), 'entry id out of range');
  return { index, term };
}

export function readHeader(head: ByteReader): PortableHeader {
  const at = head.skip(PORTABLE_HEADER_BYTES);
  try {
    return readPortableHeader(head.source, at);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new MalformedFrameError(error.message, { cause: error });
  }
}

export function readEntryBody(header: PortableHeader, bulk: ByteReader): Entry {
  const { type, index, term, timeMs, bodyCrc } = header;
  check(isEntryType(type), 'record that is not an entry');
  const at = bulk.skip(header.bodyLength);
  const bodyAt = at + header.headLength;
  const end = at + header.bodyLength;
  const { source } = bulk;
  check(crc32(source.subarray(at, end)) === bodyCrc, `body CRC of entry ${index} is wrong`);
  const head = header.headLength === 0 ? EMPTY_BYTES : source.subarray(at, bodyAt);
  const payload = bodyAt === end ? EMPTY_BYTES : source.subarray(bodyAt, end);
  return { index, term, type, timeMs, head, payload, bodyCrc };
}
