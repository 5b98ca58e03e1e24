/**
 * The named fields of one encoded message: found by tag and length, turned into text only when they
 * are asked for. Bodies, and properties that nobody named, are stepped over.
 */
import { WireReader, WireType } from '../service/wire.ts';

/** How an expression calls the tag. */
export const TAG_NAME = 'TAGS';

const TAG = 2 * 8 + WireType.bytes;
const PROPERTY = 3 * 8 + WireType.bytes;
const ENTRY_KEY = 1 * 8 + WireType.bytes;
const ENTRY_VALUE = 2 * 8 + WireType.bytes;

const ABSENT = -1;
const NO_BYTES = Buffer.alloc(0);

export class MessageFields {
  /** Of properties, in UTF-8; undefined = the tag. */
  readonly #names: readonly (Buffer | undefined)[];
  readonly #starts: number[];
  readonly #ends: number[];
  /** Each is made once, however many conditions ask for it. */
  readonly #texts: (string | undefined)[];
  readonly #hasTag: boolean;
  readonly #hasProperties: boolean;
  #bytes: Buffer = NO_BYTES;

  constructor(names: readonly string[]) {
    this.#names = names.map((name) => (name === TAG_NAME ? undefined : Buffer.from(name)));
    this.#starts = names.map(() => ABSENT);
    this.#ends = names.map(() => ABSENT);
    this.#texts = names.map(() => undefined);
    this.#hasTag = names.includes(TAG_NAME);
    this.#hasProperties = names.some((name) => name !== TAG_NAME);
  }

  /** `start` and `end` of the encoded field `messages`, tag included. */
  read(bytes: Uint8Array, start: number, end: number): void {
    const reader = new WireReader(bytes, start, end);
    this.#bytes = reader.bytes;
    this.#starts.fill(ABSENT);
    this.#texts.fill(undefined);
    reader.varint();
    reader.length();
    while (reader.position < reader.end) {
      const tag = reader.varint();
      if (tag === TAG && this.#hasTag) this.#readTag(reader);
      else if (tag === PROPERTY && this.#hasProperties) this.#readProperty(reader);
      else reader.skip(tag & 7);
    }
  }

  /** What was read is let go of. */
  release(): void {
    this.#bytes = NO_BYTES;
    this.#texts.fill(undefined);
  }

  /** null: the message has no such field. */
  text(field: number): string | null {
    const start = this.#starts[field]!;
    if (start === ABSENT) return null;
    this.#texts[field] ??= this.#bytes.toString('utf8', start, this.#ends[field]!);
    return this.#texts[field];
  }

  has(field: number): boolean {
    return this.#starts[field] !== ABSENT;
  }

  /** An empty tag is none. Of fields that come twice the last one counts, as everywhere. */
  #readTag(reader: WireReader): void {
    const length = reader.length();
    const field = this.#names.indexOf(undefined);
    this.#keep(field, length === 0 ? ABSENT : reader.position, reader.position + length);
    reader.advance(length);
  }

  #readProperty(reader: WireReader): void {
    const end = reader.length() + reader.position;
    let keyStart = end;
    let keyEnd = end;
    let valueStart = end;
    let valueEnd = end;
    while (reader.position < end) {
      const tag = reader.varint();
      const isKey = tag === ENTRY_KEY;
      if (!isKey && tag !== ENTRY_VALUE) {
        reader.skip(tag & 7);
        continue;
      }
      const length = reader.length();
      if (isKey) [keyStart, keyEnd] = [reader.position, reader.position + length];
      else [valueStart, valueEnd] = [reader.position, reader.position + length];
      reader.advance(length);
    }
    const field = this.#fieldNamed(keyStart, keyEnd);
    if (field !== undefined) this.#keep(field, valueStart, valueEnd);
  }

  #fieldNamed(start: number, end: number): number | undefined {
    for (let field = 0; field < this.#names.length; field += 1) {
      const name = this.#names[field];
      if (name?.length !== end - start) continue;
      if (name.compare(this.#bytes, start, end) === 0) return field;
    }
    return undefined;
  }

  #keep(field: number, start: number, end: number): void {
    this.#starts[field] = start;
    this.#ends[field] = end;
  }
}
