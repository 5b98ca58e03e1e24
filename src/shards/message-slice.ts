/**
 * Walks encoded `repeated Message messages = 1000` fields by tag and length only: no message is
 * decoded and no byte is copied.
 *
 *   message field := tag(1000, LEN) = C2 3E | length varint | bytes
 */
const TAG_FIRST_BYTE = 0xc2;
const TAG_SECOND_BYTE = 0x3e;

export interface MessageSlice {
  readonly bytes: Uint8Array;
  readonly count: number;
  /** Where they end in the batch. */
  readonly end: number;
}

/** End of the message field that starts at `at`. */
export function fieldEnd(bytes: Uint8Array, at: number): number {
  if (bytes[at] !== TAG_FIRST_BYTE || bytes[at + 1] !== TAG_SECOND_BYTE) {
    throw new RangeError(`no message field at byte ${at} of a stored batch`);
  }
  let length = 0;
  let position = at + 2;
  for (let scale = 1; ; scale *= 128) {
    const byte = bytes[position++];
    if (byte === undefined || scale > 2 ** 35) throw new RangeError('stored batch is cut short');
    length += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  const end = position + length;
  if (end > bytes.length) throw new RangeError('stored batch is cut short');
  return end;
}

/**
 * The messages from number `skip` on: as many as fit into `maxBytes` and `maxMessages`, but at
 * least one when `atLeastOne` is set (a reader must always get on).
 */
export function sliceMessages(
  batch: Uint8Array,
  skip: number,
  maxBytes: number,
  maxMessages: number,
  atLeastOne: boolean,
): MessageSlice {
  let start = 0;
  for (let i = 0; i < skip; i++) start = fieldEnd(batch, start);
  let end = start;
  let count = 0;
  while (end < batch.length && count < maxMessages) {
    const next = fieldEnd(batch, end);
    if (next - start > maxBytes && !(atLeastOne && count === 0)) break;
    end = next;
    count++;
  }
  return { bytes: batch.subarray(start, end), count, end };
}
