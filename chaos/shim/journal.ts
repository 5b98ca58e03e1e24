/** What the shim wrote down of one file (shim.c, `struct record`). */
import { readFileSync } from 'node:fs';

const RECORD_BYTES = 40;
const TYPES = { new: 1, write: 2, synced: 3, durable: 4, base: 5, resize: 6, failed: 7 } as const;

/** A write that no sync covers, and what stood there before. */
export interface Pending {
  readonly seq: number;
  readonly from: number;
  readonly to: number;
  /** A change of length is there or not; a write may be there in part. */
  readonly isWhole: boolean;
  /** From `from` on; what is missing was zero, or behind the end of the file. */
  readonly before: Buffer;
}

export interface Range {
  readonly seq: number;
  readonly from: number;
  readonly to: number;
}

export interface FileHistory {
  readonly durableBytes: number;
  readonly pending: readonly Pending[];
  /** Written with O_DSYNC: on the disk, whatever becomes of the writes before. */
  readonly durable: readonly Range[];
}

export function readJournal(name: string): FileHistory {
  const journal = readFileSync(name);
  let durableBytes = 0;
  let pending: Pending[] = [];
  let durable: Range[] = [];
  let doomed: Pending[] = [];
  let last = -1;
  for (let at = 0; at + RECORD_BYTES <= journal.length; ) {
    const type = journal.readUInt32LE(at);
    const kept = journal.readUInt32LE(at + 4);
    const [seq, from, length, size] = [8, 16, 24, 32].map((field) =>
      Number(journal.readBigUInt64LE(at + field)),
    ) as [number, number, number, number];
    const end = at + RECORD_BYTES + kept;
    if (seq <= last || end > journal.length) break;
    last = seq;
    if (type === TYPES.write || type === TYPES.resize) {
      const before = journal.subarray(at + RECORD_BYTES, end);
      const isWhole = type === TYPES.resize;
      pending.push({ seq, from, to: from + length, isWhole, before });
    } else if (type === TYPES.durable) {
      const isThis = (one: Pending) => one.from === from && one.to === from + length;
      durable.push({ seq, from, to: from + length });
      pending = pending.filter((one) => !isThis(one));
      durableBytes = Math.max(durableBytes, size);
    } else if (type === TYPES.synced) {
      const isOpen = (one: { readonly seq: number }) => one.seq > from;
      // What was written over a place whose sync had failed is on the disk after all.
      const covered = doomed.length === 0 ? [] : pending.filter((one) => !isOpen(one));
      durable = [...(doomed.length === 0 ? durable.filter(isOpen) : durable), ...covered];
      // Writes that began while the sync was under way stay open.
      pending = pending.filter(isOpen);
      durableBytes = size;
    } else if (type === TYPES.failed) {
      doomed = [...doomed, ...pending];
      pending = [];
    } else if (type === TYPES.base || type === TYPES.new) durableBytes = size;
    else break;
    at = end;
  }
  return { durableBytes, pending: [...doomed, ...pending], durable };
}
