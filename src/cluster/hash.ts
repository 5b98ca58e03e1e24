/**
 * The published key hash (proto/README.md has its test vectors): FNV-1a, 32 bits, over the UTF-8
 * bytes, then the finaliser of MurmurHash3, which spreads the low bits that a modulo looks at.
 * It places ordering keys on queues and groups on shards: never change it.
 */
const FNV_OFFSET_BASIS = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** An unsigned 32-bit number. */
export function keyHash(text: string): number {
  let hash = FNV_OFFSET_BASIS;
  for (const byte of Buffer.from(text, 'utf8')) {
    hash = Math.imul(hash ^ byte, FNV_PRIME);
  }
  return fmix32(hash);
}

function fmix32(hash: number): number {
  let mixed = hash ^ (hash >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
