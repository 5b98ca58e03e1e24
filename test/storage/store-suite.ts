/** What every `LogStore` must do. A function of a factory: every store runs the same tests. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogStore } from '../../raft/ports.ts';
import type { RecoveredShard } from '../../raft/types.ts';
import { EntryType } from '../../raft/types.ts';
import {
  durable,
  entry,
  entryRecord,
  plain,
  readAll,
  readEntries,
  shardState,
  stateRecord,
} from '../harness/log-builders.ts';

export interface StoreUnderTest {
  store(): LogStore & { readonly tombstones: ReadonlyMap<number, number> };
  /** Stops the store as a crash would and opens it again. */
  crash(): Promise<readonly RecoveredShard[]>;
  end(): Promise<void>;
}

export function storeSuite(name: string, create: () => Promise<StoreUnderTest>): void {
  describe(`LogStore contract: ${name}`, () => {
    let under: StoreUnderTest;
    beforeEach(async () => {
      under = await create();
    });
    afterEach(() => under.end());

    const seed = (shard: number, last: number, term = 1) =>
      durable(under.store(), [
        stateRecord(shard),
        ...Array.from({ length: last }, (_, i) => entryRecord(shard, entry(i + 1, term))),
      ]);

    it('calls onWritten first, onDurable once, in the order of the calls', async () => {
      const events: string[] = [];
      await new Promise<void>((resolve) => {
        const write = (id: number, done = () => {}) =>
          under.store().write([id === 0 ? stateRecord(1) : entryRecord(1, entry(id, 1))], {
            onWritten: () => events.push(`w${id}`),
            onDurable: () => {
              events.push(`d${id}`);
              done();
            },
          });
        for (let id = 0; id < 20; id++) write(id);
        write(20, resolve);
      });
      const ofKind = (kind: string) => events.filter((event) => event.startsWith(kind));
      const ids = Array.from({ length: 21 }, (_, i) => i);
      expect(ofKind('w')).toEqual(ids.map((id) => `w${id}`));
      expect(ofKind('d')).toEqual(ids.map((id) => `d${id}`));
      for (const id of ids) expect(events.indexOf(`w${id}`)).toBeLessThan(events.indexOf(`d${id}`));
    });

    it('never answers a write within the call', async () => {
      let inside = true;
      await new Promise<void>((resolve) => {
        under.store().write([stateRecord(1)], {
          onWritten: () => expect(inside).toBe(false),
          onDurable: () => {
            expect(inside).toBe(false);
            resolve();
          },
        });
        inside = false;
      });
    });

    it('accepts a write from within onDurable', async () => {
      await new Promise<void>((resolve) => {
        under.store().write([stateRecord(1)], {
          onDurable: () =>
            under.store().write([entryRecord(1, entry(1, 1))], { onDurable: resolve }),
        });
      });
      expect((await readEntries(under.store(), 1, 1, 1)).map(plain)).toEqual([plain(entry(1, 1))]);
    });

    it('reads back exactly what was written, of every size', async () => {
      const sizes = [0, 1, 63, 4095, 4096, 4097, 65_536, 300_000, 2_000_000];
      const entries = sizes.map((size, i) =>
        entry(i + 1, 3, { head: 'h'.repeat(i), payload: Buffer.alloc(size, i + 1) }),
      );
      await durable(under.store(), [
        stateRecord(1),
        ...entries.map((each) => entryRecord(1, each)),
      ]);
      const back = await readAll(under.store(), 1, 1, sizes.length, 100_000);
      expect(back.map(plain)).toEqual(entries.map(plain));
    });

    it('reads at least one entry, then what fits into maxBytes', async () => {
      const big = { payload: Buffer.alloc(1000) };
      await durable(under.store(), [
        stateRecord(1),
        ...[1, 2, 3, 4].map((index) => entryRecord(1, entry(index, 1, big))),
      ]);
      expect(await readEntries(under.store(), 1, 1, 4, 1)).toHaveLength(1);
      expect(await readEntries(under.store(), 1, 1, 4, 2300)).toHaveLength(2);
      expect(await readEntries(under.store(), 1, 1, 4, 1 << 20)).toHaveLength(4);
      expect(await readEntries(under.store(), 1, 2, 3, 1 << 20)).toHaveLength(2);
    });

    it('says OUT_OF_RANGE past the end, before the first entry and for a stranger', async () => {
      await seed(1, 3);
      for (const [shard, from] of [
        [1, 4],
        [9, 1],
      ] as const) {
        await expect(readEntries(under.store(), shard, from, from)).rejects.toMatchObject({
          code: 'OUT_OF_RANGE',
        });
      }
    });

    it('keeps shards apart in one log', async () => {
      await durable(
        under.store(),
        [1, 2, 3].map((shard) => stateRecord(shard)),
      );
      for (let index = 1; index <= 50; index++) {
        await durable(
          under.store(),
          [1, 2, 3].map((shard) => entryRecord(shard, entry(index, shard))),
        );
      }
      for (const shard of [1, 2, 3]) {
        const back = await readAll(under.store(), shard, 1, 50, 500);
        expect(back.map((each) => each.term)).toEqual(Array(50).fill(shard));
      }
    });

    it('voids the suffix when an index is written again, also by a lower term', async () => {
      await seed(1, 10, 5);
      await durable(under.store(), [entryRecord(1, entry(4, 5)), entryRecord(1, entry(5, 6))]);
      await expect(readEntries(under.store(), 1, 6, 6)).rejects.toMatchObject({
        code: 'OUT_OF_RANGE',
      });
      const terms = (await readAll(under.store(), 1, 1, 5)).map((each) => each.term);
      expect(terms).toEqual([5, 5, 5, 5, 6]);
      const [shard] = await under.crash();
      expect(shard?.lastIndex).toBe(5);
      expect(shard?.termStarts).toEqual([
        { term: 5, index: 1 },
        { term: 6, index: 5 },
      ]);
      expect((await readAll(under.store(), 1, 1, 5)).map((each) => each.term)).toEqual(terms);
    });

    it('recovers states, ends, terms and configurations', async () => {
      const config = entry(2, 1, { type: EntryType.config, head: 'members' });
      await durable(under.store(), [
        stateRecord(1),
        stateRecord(2, { term: 7, vote: 3 }),
        entryRecord(1, entry(1, 1)),
        entryRecord(1, config),
        entryRecord(1, entry(3, 4)),
        stateRecord(1, { term: 4, vote: 2, commit: 2 }),
      ]);
      const shards = await under.crash();
      const [one, two] = [...shards].sort((a, b) => a.shard - b.shard);
      expect(one?.state).toEqual(shardState({ term: 4, vote: 2, commit: 2 }));
      expect(one?.lastIndex).toBe(3);
      expect(one?.termStarts).toEqual([
        { term: 1, index: 1 },
        { term: 4, index: 3 },
      ]);
      expect(one?.configEntries.map(plain)).toEqual([plain(config)]);
      expect(two?.state).toEqual(shardState({ term: 7, vote: 3 }));
      expect(two?.lastIndex).toBe(0);
      expect(two?.termStarts).toEqual([]);
    });

    it('forgets what lies below the log start', async () => {
      await seed(1, 10);
      const logStart = { index: 6, term: 1 };
      await durable(under.store(), [stateRecord(1, { term: 1, commit: 8, logStart })]);
      const check = async () => {
        await expect(readEntries(under.store(), 1, 6, 7)).rejects.toMatchObject({
          code: 'COMPACTED',
        });
        expect((await readAll(under.store(), 1, 7, 10)).map((each) => each.index)).toEqual([
          7, 8, 9, 10,
        ]);
      };
      await check();
      const [shard] = await under.crash();
      expect(shard?.state.logStart).toEqual(logStart);
      expect(shard?.termStarts).toEqual([{ term: 1, index: 7 }]);
      await check();
    });

    it('may be empty behind its log start and goes on from there', async () => {
      await seed(1, 10);
      const logStart = { index: 10, term: 1 };
      await durable(under.store(), [stateRecord(1, { term: 2, commit: 10, logStart })]);
      const [shard] = await under.crash();
      expect(shard?.lastIndex).toBe(10);
      expect(shard?.termStarts).toEqual([]);
      await durable(under.store(), [entryRecord(1, entry(11, 2))]);
      expect((await readEntries(under.store(), 1, 11, 11)).map(plain)).toEqual([
        plain(entry(11, 2)),
      ]);
    });

    it('keeps what was durable through crashes in a row', async () => {
      await seed(1, 5);
      for (let round = 1; round <= 4; round++) {
        const [shard] = await under.crash();
        expect(shard?.lastIndex).toBe(4 + round);
        await durable(under.store(), [entryRecord(1, entry(5 + round, 1 + round))]);
      }
      const terms = (await readAll(under.store(), 1, 1, 9)).map((each) => each.term);
      expect(terms).toEqual([1, 1, 1, 1, 1, 2, 3, 4, 5]);
    });

    it('starts anew at a reset, also past its end', async () => {
      await seed(1, 10);
      const logStart = { index: 20, term: 3 };
      const state = shardState({ term: 4, vote: 2, commit: 20, logStart });
      await durable(under.store(), [{ kind: 'reset', shard: 1, state }]);
      const check = async () => {
        for (const from of [3, 20]) {
          const read = readEntries(under.store(), 1, from, from);
          await expect(read).rejects.toMatchObject({ code: 'COMPACTED' });
        }
        const past = readEntries(under.store(), 1, 21, 21);
        await expect(past).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
      };
      await check();
      const [shard] = await under.crash();
      expect(shard).toEqual({ shard: 1, state, lastIndex: 20, termStarts: [], configEntries: [] });
      await check();
      await durable(under.store(), [entryRecord(1, entry(21, 4))]);
      expect((await under.crash())[0]?.termStarts).toEqual([{ term: 4, index: 21 }]);
      expect((await readEntries(under.store(), 1, 21, 21)).map(plain)).toEqual([
        plain(entry(21, 4)),
      ]);
    });

    it('starts anew at a reset within the log: nothing after it stays', async () => {
      await seed(1, 10);
      const logStart = { index: 4, term: 2 };
      const state = shardState({ term: 2, commit: 4, logStart });
      const more = [5, 6].map((index) => entryRecord(1, entry(index, 2)));
      await durable(under.store(), [{ kind: 'reset', shard: 1, state }, ...more]);
      const check = async () => {
        expect((await readAll(under.store(), 1, 5, 6)).map((each) => each.term)).toEqual([2, 2]);
        const past = readEntries(under.store(), 1, 7, 7);
        await expect(past).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
      };
      await check();
      const [shard] = await under.crash();
      expect(shard?.lastIndex).toBe(6);
      await check();
    });

    it('forgets a shard that is dropped, but not that it was there', async () => {
      await seed(1, 5);
      await seed(2, 3);
      await durable(under.store(), [{ kind: 'drop', shard: 1, replica: 1 }]);
      const check = async () => {
        const read = readEntries(under.store(), 1, 1, 1);
        await expect(read).rejects.toMatchObject({ code: 'OUT_OF_RANGE' });
        expect([...under.store().tombstones]).toEqual([[1, 1]]);
        expect(await readAll(under.store(), 2, 1, 3)).toHaveLength(3);
      };
      await check();
      for (let crash = 0; crash < 3; crash++) {
        expect((await under.crash()).map(({ shard }) => shard)).toEqual([2]);
        await check();
      }
    });

    it('takes a shard again under a later replica id only', async () => {
      await seed(1, 5);
      await durable(under.store(), [
        { kind: 'drop', shard: 1, replica: 1 },
        stateRecord(1, { replica: 4 }),
        entryRecord(1, entry(1, 7)),
      ]);
      for (let crash = 0; crash < 3; crash++) {
        const [shard] = await under.crash();
        expect(shard).toMatchObject({ shard: 1, lastIndex: 1, state: { replica: 4 } });
        expect((await readEntries(under.store(), 1, 1, 1)).map(plain)).toEqual([
          plain(entry(1, 7)),
        ]);
        expect([...under.store().tombstones]).toEqual([[1, 1]]);
      }
      await durable(under.store(), [{ kind: 'drop', shard: 1, replica: 4 }]);
      const onDurable = () => expect.fail('taken');
      const again = () => under.store().write([stateRecord(1, { replica: 4 })], { onDurable });
      expect(again).toThrow(/comes back/);
    });

    it('lets a repair change nothing but where the entry is read', async () => {
      await seed(1, 6);
      const repair = { kind: 'repair', shard: 1, entry: entry(3, 1) } as const;
      await durable(under.store(), [repair, entryRecord(1, entry(7, 1))]);
      for (let crash = 0; crash < 3; crash++) {
        const back = await readAll(under.store(), 1, 1, 7, 150);
        for (const index of [3, 4, 3, 2]) {
          const [only] = await readEntries(under.store(), 1, index, index);
          expect(plain(only!)).toEqual(plain(entry(index, 1)));
        }
        expect(back.map(plain)).toEqual([1, 2, 3, 4, 5, 6, 7].map((i) => plain(entry(i, 1))));
        expect((await under.crash())[0]).toMatchObject({
          lastIndex: 7,
          termStarts: [{ term: 1, index: 1 }],
        });
      }
      // Of entries that are gone, or were replaced: nothing.
      await durable(under.store(), [
        entryRecord(1, entry(5, 2)),
        { kind: 'repair', shard: 1, entry: entry(5, 1) },
        { kind: 'repair', shard: 1, entry: entry(9, 1) },
        stateRecord(1, { commit: 4, logStart: { index: 4, term: 1 } }),
        repair,
      ]);
      for (let crash = 0; crash < 3; crash++) {
        expect((await readAll(under.store(), 1, 5, 5)).map(plain)).toEqual([plain(entry(5, 2))]);
        expect((await under.crash())[0]).toMatchObject({ lastIndex: 5 });
      }
    });

    it('refuses to void what is committed', async () => {
      await seed(1, 5);
      await durable(under.store(), [stateRecord(1, { term: 1, commit: 4 })]);
      const rewrite = () =>
        under.store().write([entryRecord(1, entry(4, 2))], { onDurable: () => {} });
      expect(rewrite).toThrow('committed');
    });
  });
}
