/** Bytes as an attacker or a broken wire would change them; half of the changes are small. */
import type { Random } from '../../src/sim/random.ts';

const EDGES = [0, 1, 0x7f, 0x80, 0xff];
const MAX_CHANGES = 4;
const MAX_PIECE_BYTES = 16;

type Change = (random: Random, bytes: Buffer, other: Buffer) => Buffer;

const CHANGES: readonly Change[] = [
  (random, bytes) => {
    const changed = Buffer.from(bytes);
    changed[at(random, bytes)]! ^= 1 << random.between(0, 7);
    return changed;
  },
  (random, bytes) => {
    const changed = Buffer.from(bytes);
    changed[at(random, bytes)] = random.chance(0.5) ? random.pick(EDGES) : random.between(0, 255);
    return changed;
  },
  (random, bytes) => bytes.subarray(0, random.between(0, bytes.length)),
  (random, bytes) => {
    const from = at(random, bytes);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + pieceBytes(random))]);
  },
  (random, bytes) => {
    const from = at(random, bytes);
    const piece = bytes.subarray(from, from + pieceBytes(random));
    return Buffer.concat([bytes.subarray(0, from), piece, bytes.subarray(from)]);
  },
  (random, bytes, other) => {
    const tail = other.subarray(random.between(0, other.length));
    return Buffer.concat([bytes.subarray(0, random.between(0, bytes.length)), tail]);
  },
  // The longest varint there is, and one that is longer than any.
  (random, bytes) => {
    const from = at(random, bytes);
    const wide = Buffer.alloc(random.pick([5, 9, 12]), 0xff);
    return Buffer.concat([bytes.subarray(0, from), wide, bytes.subarray(from + 1)]);
  },
];

function at(random: Random, bytes: Buffer): number {
  return Math.floor(random.next() * bytes.length);
}

function pieceBytes(random: Random): number {
  return random.between(1, MAX_PIECE_BYTES);
}

/** `other` is what a part may be taken from. The input is left as it is. */
export function mutated(random: Random, bytes: Buffer, other: Buffer): Buffer {
  let changed = bytes;
  const count = random.chance(0.5) ? 1 : random.between(1, MAX_CHANGES);
  for (let change = 0; change < count; change += 1) {
    changed = changed.length === 0 ? other : random.pick(CHANGES)(random, changed, other);
  }
  return changed;
}
