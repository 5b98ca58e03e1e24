import { readMapEntry } from './errors.ts';
import type { Message, OutgoingMessage } from './types.ts';
import { type Reader, varintSize, writeText, writeVarint } from './wire.ts';

/** Field 1000, length-delimited: what each message begins with in every request and batch. */
const MESSAGES_TAG = [0xc2, 0x3e] as const;
export const MESSAGES_TAG_VALUE = 8002;

const NO_BODY = Buffer.alloc(0);

/**
 * Writes messages in their wire form: `measure` first, then `write` the same message. The measure
 * is kept between the two, so that nothing is allocated per message.
 */
export class MessageEncoder {
  #key = '';
  #keyBytes = 0;
  #tag = '';
  #tagBytes = 0;
  #properties: readonly (readonly [string, string])[] = [];
  #body: Uint8Array = NO_BODY;
  #bornAtMs = 0;
  #size = 0;

  /** The size of the whole encoded Message: what `maxMessageBytes` bounds. */
  measure(message: OutgoingMessage): number {
    const { key, tag, properties, body, bornAtMs } = message;
    this.#key = key ?? '';
    this.#keyBytes = textBytes(this.#key);
    this.#tag = tag ?? '';
    this.#tagBytes = textBytes(this.#tag);
    this.#properties = properties === undefined ? [] : Object.entries(properties);
    this.#body = typeof body === 'string' ? Buffer.from(body, 'utf8') : (body ?? NO_BODY);
    this.#bornAtMs = bornAtMs ?? 0;
    if (!(Number.isSafeInteger(this.#bornAtMs) && this.#bornAtMs >= 0)) {
      throw new RangeError(`bornAtMs must be Unix milliseconds, not ${bornAtMs}`);
    }
    let size = fieldSize(this.#keyBytes) + fieldSize(this.#tagBytes);
    size += fieldSize(this.#body.length);
    for (const [name, value] of this.#properties) {
      const entry = entrySize(Buffer.byteLength(name), Buffer.byteLength(value));
      size += 1 + varintSize(entry) + entry;
    }
    if (this.#bornAtMs > 0) size += 1 + varintSize(this.#bornAtMs);
    this.#size = size;
    return size;
  }

  /** What `write` will take: the message with its field tag and length. */
  framedSize(): number {
    return 2 + varintSize(this.#size) + this.#size;
  }

  write(into: Buffer, position: number): number {
    into[position] = MESSAGES_TAG[0];
    into[position + 1] = MESSAGES_TAG[1];
    let at = writeVarint(into, position + 2, this.#size);
    if (this.#keyBytes > 0) at = writeTextField(into, at, 0x0a, this.#key, this.#keyBytes);
    if (this.#tagBytes > 0) at = writeTextField(into, at, 0x12, this.#tag, this.#tagBytes);
    for (const [name, value] of this.#properties) at = writeProperty(into, at, name, value);
    if (this.#body.length > 0) {
      into[at++] = 0x22;
      at = writeVarint(into, at, this.#body.length);
      into.set(this.#body, at);
      at += this.#body.length;
    }
    if (this.#bornAtMs > 0) {
      into[at++] = 0x28;
      at = writeVarint(into, at, this.#bornAtMs);
    }
    this.#body = NO_BODY;
    return at;
  }
}

function textBytes(text: string): number {
  return text === '' ? 0 : Buffer.byteLength(text);
}

function fieldSize(bytes: number): number {
  return bytes === 0 ? 0 : 1 + varintSize(bytes) + bytes;
}

function entrySize(nameBytes: number, valueBytes: number): number {
  return 2 + varintSize(nameBytes) + nameBytes + varintSize(valueBytes) + valueBytes;
}

export function writeTextField(
  into: Buffer,
  position: number,
  tag: number,
  text: string,
  bytes: number,
): number {
  into[position] = tag;
  return writeText(into, writeVarint(into, position + 1, bytes), text, bytes);
}

function writeProperty(into: Buffer, position: number, name: string, value: string): number {
  const nameBytes = Buffer.byteLength(name);
  const valueBytes = Buffer.byteLength(value);
  into[position] = 0x1a;
  let at = writeVarint(into, position + 1, entrySize(nameBytes, valueBytes));
  at = writeTextField(into, at, 0x0a, name, nameBytes);
  return writeTextField(into, at, 0x12, value, valueBytes);
}

/** Where a message stands; what its own bytes do not say. */
export interface MessagePlace {
  readonly topic: string;
  readonly queue: number;
  readonly offset: number;
  readonly storedAtMs: number;
  readonly messageId: string;
}

export function readMessage(reader: Reader, place: MessagePlace): Message {
  let key = '';
  let tag = '';
  let body: Buffer = NO_BODY;
  let bornAtMs = 0;
  const properties: Record<string, string> = {};
  while (!reader.done()) {
    const field = reader.varint();
    if (field === 0x22) body = reader.view();
    else if (field === 0x0a) key = reader.text();
    else if (field === 0x12) tag = reader.text();
    else if (field === 0x28) bornAtMs = reader.varint();
    else if (field === 0x1a) readMapEntry(reader.nested(), properties);
    else reader.skip(field & 7);
  }
  const { topic, queue, offset, storedAtMs, messageId } = place;
  return { topic, queue, offset, key, tag, properties, body, bornAtMs, storedAtMs, messageId };
}

/** `shard-index-position` of the message that stands `steps` after the one with id `first`. */
export function messageIdAfter(first: string, steps: number): string {
  if (steps === 0 || first === '') return first;
  const dash = first.lastIndexOf('-');
  return first.slice(0, dash + 1) + (Number(first.slice(dash + 1)) + steps);
}
