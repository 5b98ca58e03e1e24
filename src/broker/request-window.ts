/**
 * The last requests that were accepted from one producer on one queue, kept as the very bytes of
 * their state row: it is written anew with every produce, while a look into it is rare.
 *
 * Per request, oldest first, what cannot be told from the one before it: skipped sequences, count
 * (fourfold, plus one for a delayed request, two for one that was answered by its dedup keys),
 * offsets of others in between, index step, term step, and for the last kind what it was answered:
 * index, term, position, 0 or offset + 1. Usually five bytes.
 */
import assert from 'node:assert';
import type { LogIndex, Term } from '../../raft/types.ts';
import type { ByteReader } from './bytes.ts';
import { ByteWriter, FormatError } from './bytes.ts';
import type { FirstAnswer } from './commands.ts';
import { DEDUP_WINDOW_REQUESTS } from './limits.ts';

export interface AcceptedRequest {
  readonly sequence: number;
  readonly count: number;
  /** undefined = delayed: its messages had no offsets yet. */
  readonly baseOffset: number | undefined;
  readonly index: LogIndex;
  readonly term: Term;
  /** Stored nothing: its dedup keys were there before, and this was its answer. */
  readonly byKeys?: FirstAnswer;
}

const DELAYED = 1;
const BY_KEYS = 2;

/** Where things stood after a request: the next one is told from here. */
interface Position {
  readonly sequence: number;
  readonly offset: number;
  readonly index: LogIndex;
  readonly term: Term;
}

const BYTES_AT_FIRST = 64;
/** Bytes of forgotten requests that may stay in front before they are cut off. */
const FORGOTTEN_BYTES_MAX = 512;
const START: Position = Object.freeze({ sequence: 0, offset: 0, index: 0, term: 0 });

export class RequestWindow {
  /** Before the first request kept. */
  #base: Position = START;
  /** After the last. */
  #last: Position = START;
  #length = 0;
  #bytes = new ByteWriter(BYTES_AT_FIRST);
  /** Where in `#bytes` the first request kept begins. */
  #from = 0;

  get nextSequence(): number {
    return this.#last.sequence;
  }

  /** Of the last accepted request; 0 = none. */
  get lastIndex(): LogIndex {
    return this.#last.index;
  }

  push(request: AcceptedRequest): void {
    const { sequence, count, baseOffset, index, term, byKeys } = request;
    const last = this.#last;
    const kind = byKeys !== undefined ? BY_KEYS : baseOffset === undefined ? DELAYED : 0;
    const out = this.#bytes.uint(sequence - last.sequence).uint(4 * count + kind);
    if (kind === 0) out.uint(baseOffset! - last.offset);
    out.uint(index - last.index).uint(term - last.term);
    if (byKeys !== undefined) writeAnswer(byKeys, out);
    this.#last = positionAfter(request, last);
    this.#length += 1;
    if (this.#length > DEDUP_WINDOW_REQUESTS) this.#forgetFirst();
  }

  /** The request that the message `sequence` came with. */
  find(sequence: number): AcceptedRequest | undefined {
    const from = this.#bytes.reader(this.#from);
    let position = this.#base;
    for (let left = this.#length; left > 0; left -= 1) {
      const request = readRequest(from, position);
      if (sequence < request.sequence) return undefined;
      position = positionAfter(request, position);
      if (sequence < position.sequence) return request;
    }
    return undefined;
  }

  /** Length, base, requests: the last part of the row. */
  writeTo(row: ByteWriter): void {
    const { sequence, offset, index, term } = this.#base;
    row.uint(this.#length).uint(sequence).uint(offset).uint(index).uint(term);
    row.append(this.#bytes, this.#from);
  }

  static readFrom(row: ByteReader): RequestWindow {
    const window = new RequestWindow();
    const length = row.uint();
    if (length < 1 || length > DEDUP_WINDOW_REQUESTS) throw new FormatError('not a window');
    window.#base = {
      sequence: row.uint(),
      offset: row.uint(),
      index: row.uint(),
      term: row.uint(),
    };
    window.#last = window.#base;
    for (let left = length; left > 0; left -= 1) window.push(readRequest(row, window.#last));
    return window;
  }

  #forgetFirst(): void {
    const from = this.#bytes.reader(this.#from);
    this.#base = positionAfter(readRequest(from, this.#base), this.#base);
    this.#length -= 1;
    this.#from = from.position;
    if (this.#from <= FORGOTTEN_BYTES_MAX) return;
    const kept = new ByteWriter(2 * FORGOTTEN_BYTES_MAX).append(this.#bytes, this.#from);
    this.#bytes = kept;
    this.#from = 0;
  }
}

function positionAfter(request: AcceptedRequest, before: Position): Position {
  const { sequence, count, baseOffset, index, term } = request;
  const offset = baseOffset === undefined ? before.offset : baseOffset + count;
  return { sequence: sequence + count, offset, index, term };
}

function readRequest(from: ByteReader, before: Position): AcceptedRequest {
  const sequence = before.sequence + from.uint();
  const counted = from.uint();
  const count = Math.floor(counted / 4);
  const kind = counted % 4;
  if (kind > BY_KEYS) throw new FormatError('not a request');
  const baseOffset = kind === 0 ? before.offset + from.uint() : undefined;
  const index = before.index + from.uint();
  const term = before.term + from.uint();
  assert(index > before.index && count > 0);
  const request = { sequence, count, baseOffset, index, term };
  return kind === BY_KEYS ? { ...request, byKeys: readAnswer(from) } : request;
}

function writeAnswer({ at, position, baseOffset }: FirstAnswer, out: ByteWriter): void {
  out.uint(at.index).uint(at.term).uint(position);
  out.uint(baseOffset === undefined ? 0 : baseOffset + 1);
}

function readAnswer(from: ByteReader): FirstAnswer {
  const index = from.uint();
  const term = from.uint();
  const position = from.uint();
  const offset = from.uint();
  return { at: { index, term }, position, baseOffset: offset === 0 ? undefined : offset - 1 };
}
