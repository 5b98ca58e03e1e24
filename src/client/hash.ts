/**
 * The published key hash (proto/README.md has its definition and test vectors): FNV-1a over UTF-8,
 * then the 32-bit finaliser of MurmurHash3, because FNV's low bits alone spread short keys badly.
 */
export function keyHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit >= 0x80) return finalise(fnv1a(Buffer.from(text, 'utf8')));
    hash = Math.imul(hash ^ unit, 0x01000193);
  }
  return finalise(hash);
}

/** The queue that messages with this ordering key belong to. */
export function queueOfKey(orderingKey: string, queueCount: number): number {
  return keyHash(orderingKey) % queueCount;
}

function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}

function finalise(hash: number): number {
  let h = hash;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
