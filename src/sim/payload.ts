/** Commands of the simulation: short texts, unique per run; a no-op is the empty text. */
import { EMPTY_BYTES, type Entry } from '../../raft/types.ts';
import { bodyCrcOf } from '../../storage/record.ts';

export function commandOf(text: string, payloadBytes: number) {
  const head = Buffer.from(text);
  const payload = payloadBytes === 0 ? EMPTY_BYTES : new Uint8Array(payloadBytes);
  return { head, payload, bodyCrc: bodyCrcOf(head, payload) };
}

export function textOf(entry: Entry): string {
  return new TextDecoder().decode(entry.head);
}

/** Replicas in one process mostly share the very bytes, so this rarely looks at any. */
export function isSameEntry(left: Entry, right: Entry): boolean {
  if (left === right) return true;
  if (left.term !== right.term || left.timeMs !== right.timeMs) return false;
  if (left.head === right.head) return true;
  return textOf(left) === textOf(right);
}
