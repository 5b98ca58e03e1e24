/** Messages that prove themselves: they name a value used once, the body follows from it. */
import { createHash } from 'node:crypto';
import type { Message } from './methods.ts';

/** What `maxMessageBytes` allows, key and field heads included. */
export const MESSAGE_BYTES_MAX = 4_000_000;
const SMALL_BYTES_MAX = 1024;
/** One in so many has no body, any size up to the limit, or exactly the limit. */
const EMPTY_EVERY = 16;
const LARGE_EVERY = 1024;
const LARGEST_EVERY = 8192;

export function messageOf(value: string): Message {
  return { key: value, body: bodyOf(value, '') };
}

/** With a key that others have, too: its tag names its value. */
export function keyedMessageOf(value: string, key: string): Message {
  return { key, tag: value, body: bodyOf(value, key) };
}

/** The value of a message whose body is what was sent with it, else one that nobody sent. */
export function observedValue({ key, tag = '', body }: Message): string {
  const value = tag === '' ? key : tag;
  if (body.equals(bodyOf(value, tag === '' ? '' : key))) return value;
  return `damaged ${value} ${createHash('sha256').update(body).digest('hex').slice(0, 8)}`;
}

function bodyOf(value: string, key: string): Buffer {
  const digest = createHash('sha256').update(value).digest();
  const largest = largestBody(value) - (key === '' ? 0 : fieldBytes(key));
  const bytes = bodyBytes(digest.readUInt32LE(0), digest.readUInt32LE(4) / 2 ** 32, largest);
  return Buffer.alloc(bytes, digest);
}

/** Logarithms of sizes are uniform, so that every order of magnitude is as likely. */
function bodyBytes(kind: number, size: number, largest: number): number {
  if (kind % LARGEST_EVERY === 2) return largest;
  if (kind % LARGE_EVERY === 0) return Math.floor(largest ** size);
  return kind % EMPTY_EVERY === 1 ? 0 : Math.floor(SMALL_BYTES_MAX ** size);
}

/** Field heads are a tag and a length; that of a key takes one byte, that of such a body four. */
function largestBody(value: string): number {
  return MESSAGE_BYTES_MAX - fieldBytes(value) - (1 + 4);
}

function fieldBytes(text: string): number {
  return 1 + 1 + Buffer.byteLength(text);
}
