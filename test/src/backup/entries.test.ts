import { describe, expect, it } from 'vitest';
import { EMPTY_BYTES, type Entry, EntryType } from '../../../raft/types.ts';
import { encodeEntries, entriesOf } from '../../../src/backup/entries.ts';
import { LogDigest, withoutMembers } from '../../../src/backup/shard-files.ts';
import { bodyCrcOf } from '../../../storage/record.ts';

const SHARD = 3;

function entry(index: number, more: Partial<Entry> = {}): Entry {
  const head = Buffer.from(`head ${index}`);
  const payload = Buffer.from(`payload ${index}`);
  const body = { head, payload, bodyCrc: bodyCrcOf(head, payload) };
  return { index, term: 2, type: EntryType.command, timeMs: 50 + index, ...body, ...more };
}

async function read(bytes: Uint8Array, pieceBytes: number, shard = SHARD): Promise<Entry[]> {
  async function* pieces() {
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      yield bytes.subarray(at, at + pieceBytes);
    }
  }
  const entries: Entry[] = [];
  for await (const one of entriesOf(shard, { index: 4, term: 2 }, pieces()))
    entries.push(one.entry);
  return entries;
}

describe("a shard's log in a backup", () => {
  const entries = [entry(5), entry(6, { term: 3 }), entry(7, { term: 3 })];
  const bytes = encodeEntries(SHARD, entries);

  it('is read in pieces of any size', async () => {
    for (const pieceBytes of [1, 7, 41, 1000]) {
      expect((await read(bytes, pieceBytes)).map(({ index, term }) => [index, term])).toEqual([
        [5, 2],
        [6, 3],
        [7, 3],
      ]);
    }
  });

  it('is refused when it is cut, damaged, of another shard, or not in order', async () => {
    for (const end of [1, 39, 60, bytes.length - 1]) {
      await expect(read(bytes.subarray(0, end), 64), `${end}`).rejects.toThrow('is cut after');
    }
    for (let at = 0; at < bytes.length; at += 1) {
      const damaged = Buffer.from(bytes);
      damaged[at] = damaged[at]! ^ 4;
      const found = await read(damaged, 64).catch(() => undefined);
      // Nothing in an entry covers its term, time and lengths: the checksum of the file does.
      if (found !== undefined) expect(encodeEntries(SHARD, found)).toEqual(damaged);
    }
    await expect(read(bytes, 64, SHARD + 1)).rejects.toThrow('no entry of it');
    const [first, , third] = entries as [Entry, Entry, Entry];
    const fallen = entry(6, { term: 1 });
    const early = entry(6, { timeMs: 1 });
    for (const wrong of [
      [first, third],
      [first, first],
      [first, fallen],
      [first, early],
    ]) {
      await expect(read(encodeEntries(SHARD, wrong), 64)).rejects.toThrow('does not follow');
    }
  });

  it('loses what it says of members, and nothing else', () => {
    const config = entry(6, { type: EntryType.config });
    const nothing = { head: EMPTY_BYTES, payload: EMPTY_BYTES, bodyCrc: 0 };
    expect(withoutMembers(config)).toEqual({ ...config, type: EntryType.noop, ...nothing });
    expect(withoutMembers(entries[0]!)).toBe(entries[0]);
    const [told, restored] = [new LogDigest(), new LogDigest()];
    told.add(SHARD, config);
    restored.add(SHARD, withoutMembers(config));
    expect(told.hex()).toBe(restored.hex());
  });
});
