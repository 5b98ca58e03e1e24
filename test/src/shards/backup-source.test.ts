import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { SnapshotSource } from '../../../raft/ports.ts';
import { EMPTY_BYTES, type Entry, EntryType } from '../../../raft/types.ts';
import { encodeEntries } from '../../../src/backup/entries.ts';
import { BACKUP_SILENCE_MS, LocalBackupSource } from '../../../src/shards/backup-source.ts';

const SHARD = 2;
const START = { index: 10, term: 3 };
const APPLIED = 14;

type Driver = ConstructorParameters<typeof LocalBackupSource>[0];

function entry(index: number): Entry {
  const body = { head: EMPTY_BYTES, payload: EMPTY_BYTES, bodyCrc: 0 };
  return { index, term: 3, type: EntryType.noop, timeMs: 1, ...body };
}

class Rig {
  held: [shard: number, forMs: number][] = [];
  opened = 0;
  readonly closed: SnapshotSource[] = [];
  readonly asked: [from: number, to: number][] = [];
  readonly source: LocalBackupSource;

  constructor() {
    const status = () => ({ applied: APPLIED });
    const driver = { logStart: () => START, status } as unknown as Driver;
    this.source = new LocalBackupSource(
      driver,
      {
        holdStart: (shard, forMs) => void this.held.push([shard, forMs]),
        openSource: (_shard, _start, done) => {
          this.opened += 1;
          done(undefined, { totalBytes: 100 });
        },
        readSource: (_source, offset, maxBytes, done) => {
          done(undefined, Buffer.alloc(Math.min(maxBytes, 100 - offset), offset));
        },
        closeSource: (source) => void this.closed.push(source),
      },
      {
        read: (_shard, from, to, _maxBytes, onEntries) => {
          this.asked.push([from, to]);
          const count = to - from + 1;
          onEntries(
            undefined,
            Array.from({ length: count }, (_, at) => entry(from + at)),
          );
        },
      },
    );
  }

  piece(offset: number, start = START) {
    let found: { totalBytes: number; data: Uint8Array } | undefined;
    this.source.checkpoint(SHARD, start, offset, 40, (_, piece) => {
      found = piece;
    });
    return found;
  }
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('what a backup reads of a shard', () => {
  it('stays while it is read', () => {
    const rig = new Rig();
    expect(rig.source.start(SHARD)).toEqual(START);
    rig.piece(0);
    rig.source.entries(SHARD, 11, 12, 1000, () => undefined);
    expect(rig.held).toEqual(Array.from({ length: 3 }, () => [SHARD, BACKUP_SILENCE_MS]));
  });

  it('is a checkpoint that is opened once, and closed when nobody asks any more', () => {
    const rig = new Rig();
    expect(rig.piece(0)).toEqual({ totalBytes: 100, data: Buffer.alloc(40, 0) });
    vi.advanceTimersByTime(BACKUP_SILENCE_MS - 1);
    expect(rig.piece(80)).toEqual({ totalBytes: 100, data: Buffer.alloc(20, 80) });
    vi.advanceTimersByTime(BACKUP_SILENCE_MS - 1);
    expect([rig.opened, rig.closed.length]).toEqual([1, 0]);
    vi.advanceTimersByTime(1);
    expect(rig.closed).toHaveLength(1);
    rig.piece(0);
    rig.piece(0, { index: 20, term: 3 });
    expect([rig.opened, rig.closed.length]).toEqual([3, 2]);
  });

  it('is entries that are committed, and no others', () => {
    const rig = new Rig();
    const found: (string | Uint8Array | undefined)[] = [];
    const done = (error: Error | undefined, data: Uint8Array | undefined) =>
      found.push(error?.message ?? data);
    rig.source.entries(SHARD, APPLIED, APPLIED + 5, 1000, done);
    rig.source.entries(SHARD, APPLIED + 1, APPLIED + 5, 1000, done);
    expect(rig.asked).toEqual([[APPLIED, APPLIED]]);
    expect(found).toEqual([
      encodeEntries(SHARD, [entry(APPLIED)]),
      `entry ${APPLIED + 1} of shard ${SHARD} is not committed`,
    ]);
  });
});
