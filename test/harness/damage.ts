/** What damage tests try on the bytes of one encoded value. */

/** Every prefix that lacks at least one byte. */
export function prefixesOf(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (_, length) => bytes.subarray(0, length));
}

/** A copy per bit, in which that bit is turned. */
export function* oneBitChangesOf(bytes: Uint8Array): Generator<Uint8Array> {
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = new Uint8Array(bytes);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    yield changed;
  }
}

/** What `decode` makes of bytes: its value, or undefined when it refused them as it should. */
export function readOrRefuse<Value>(
  decode: (bytes: Uint8Array) => Value,
  bytes: Uint8Array,
  isRefusal: (error: unknown) => boolean,
): Value | undefined {
  try {
    return decode(bytes);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return undefined;
  }
}
