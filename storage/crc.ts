import { crc32 } from 'node:zlib';

/**
 * The CRC-32 (IEEE) of what `crc` was computed over, followed by `bytes`. Node's own forgets the
 * former part when `bytes` is empty and its buffer has no memory: it answers 0 then.
 */
export function continueCrc(crc: number, bytes: Uint8Array): number {
  return bytes.length === 0 ? crc : crc32(bytes, crc);
}
