/** The key of one encoded message, and whether it has a body: found by tag and length. */
import { WireReader, WireType } from '../service/wire.ts';

const KEY = 1 * 8 + WireType.bytes;
const BODY = 4 * 8 + WireType.bytes;

export interface KeyOfMessage {
  /** '' = it has none. */
  readonly key: string;
  readonly keyBytes: number;
  /** No body, or an empty one. */
  readonly isTombstone: boolean;
}

/** `start` and `end` of the encoded field `messages`, tag included. The last of a field counts. */
export function keyOfMessage(bytes: Uint8Array, start: number, end: number): KeyOfMessage {
  const reader = new WireReader(bytes, start, end);
  let [keyAt, keyBytes, bodyBytes] = [0, 0, 0];
  reader.varint();
  reader.length();
  while (reader.position < reader.end) {
    const tag = reader.varint();
    if (tag === KEY) {
      keyBytes = reader.length();
      keyAt = reader.position;
      reader.advance(keyBytes);
    } else if (tag === BODY) {
      bodyBytes = reader.length();
      reader.advance(bodyBytes);
    } else reader.skip(tag & 7);
  }
  const key = reader.bytes.toString('utf8', keyAt, keyAt + keyBytes);
  return { key, keyBytes, isTombstone: bodyBytes === 0 };
}
