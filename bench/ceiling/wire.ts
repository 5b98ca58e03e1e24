/** Just enough protobuf for the ceiling's answers. Numbers stay below 2^53. */

export function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) | 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return bytes;
}

/** A varint field. */
export function numberField(field: number, value: number): number[] {
  return [...varint(field * 8), ...varint(value)];
}

/** A length-delimited field. */
export function bytesField(field: number, bytes: Uint8Array | readonly number[]): Buffer {
  return Buffer.concat([
    Buffer.from([...varint(field * 8 + 2), ...varint(bytes.length)]),
    bytes instanceof Uint8Array ? bytes : Buffer.from(bytes),
  ]);
}

export function textField(field: number, text: string): Buffer {
  return bytesField(field, Buffer.from(text));
}

export interface Field {
  readonly number: number;
  /** A varint's value, else 0. */
  readonly value: number;
  /** A length-delimited field's content, else empty. */
  readonly bytes: Uint8Array;
  /** The whole field with its tag. */
  readonly whole: Uint8Array;
}

const NONE = new Uint8Array(0);

/** Top-level fields of a message; wire types 0 and 2 only. */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  let at = 0;
  const read = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = message[at++];
      if (byte === undefined) throw new Error('message is cut short');
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const start = at;
    const tag = read();
    const value = read();
    const isBytes = tag % 8 === 2;
    const content = at;
    if (isBytes) at += value;
    yield {
      number: Math.floor(tag / 8),
      value: isBytes ? 0 : value,
      bytes: isBytes ? message.subarray(content, at) : NONE,
      whole: message.subarray(start, at),
    };
  }
}
