/** Messages that prove themselves: the key is a value used once, the body follows from it. */
import { createHash } from 'node:crypto';
import type { Message } from './methods.ts';

const SMALL_BYTES_MAX = 1024;
const LARGE_BYTES = 64 * 1024;
/** One in so many. */
const LARGE_EVERY = 256;
const EMPTY_EVERY = 16;

export function messageOf(value: string): Message {
  return { key: value, body: bodyOf(value) };
}

/** The value of a message whose body is what was sent with it, else one that nobody sent. */
export function observedValue({ key, body }: Message): string {
  if (body.equals(bodyOf(key))) return key;
  return `damaged ${key} ${createHash('sha256').update(body).digest('hex').slice(0, 8)}`;
}

function bodyOf(value: string): Buffer {
  const digest = createHash('sha256').update(value).digest();
  return Buffer.alloc(bodyBytes(digest.readUInt32LE(0), digest.readUInt32LE(4)), digest);
}

/** Empty ones, large ones, and any small size. */
function bodyBytes(kind: number, size: number): number {
  if (kind % LARGE_EVERY === 0) return LARGE_BYTES;
  return kind % EMPTY_EVERY === 1 ? 0 : size % (SMALL_BYTES_MAX + 1);
}
