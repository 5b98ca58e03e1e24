import { expect, it } from 'vitest';
import { encodeCommand } from '../../../src/broker/command-codec.ts';
import { createDataShard } from '../../../src/broker/data-shard.ts';
import {
  FEATURE_LEVELS,
  FeatureLevelError,
  FIRST_LEVEL,
  NEWEST_LEVEL,
} from '../../../src/broker/feature-level.ts';
import { DATA_SHARD_LIMITS } from '../../../src/broker/limits.ts';
import { entryOf } from '../../harness/data-shard.ts';
import { MemoryRows } from '../../harness/state-rows.ts';

const raise = (level: number, index: number) =>
  entryOf({ type: 'raiseLevel', level }, index, 1, 1000, 0);
const bornAt = (level: number) => createDataShard(1, DATA_SHARD_LIMITS, level);

it('every level says what it brought', () => {
  const levels = Array.from({ length: NEWEST_LEVEL }, (_, at) => FIRST_LEVEL + at);
  expect([...FEATURE_LEVELS.keys()]).toEqual(levels);
});

it('a shard is at the level of its birth until an entry raises it', () => {
  const rows = new MemoryRows();
  const shard = bornAt(FIRST_LEVEL);
  expect(shard.featureLevel()).toBe(FIRST_LEVEL);
  expect(shard.apply(raise(NEWEST_LEVEL, 1), rows)).toEqual({ type: 'done' });
  shard.apply(raise(FIRST_LEVEL, 2), rows);
  expect(shard.featureLevel()).toBe(NEWEST_LEVEL);
  const loaded = bornAt(FIRST_LEVEL);
  loaded.load(rows.rows());
  expect(loaded.featureLevel()).toBe(NEWEST_LEVEL);
});

it('a shard that was never raised has no row that an earlier build would not know', () => {
  const rows = new MemoryRows();
  const shard = bornAt(FIRST_LEVEL);
  shard.apply(raise(FIRST_LEVEL, 1), rows);
  expect([...rows.rows()]).toEqual([]);
});

it('a level that this build does not know is not touched', () => {
  const rows = new MemoryRows();
  expect(() => bornAt(NEWEST_LEVEL + 1)).toThrow(FeatureLevelError);
  expect(() => bornAt(1).apply(raise(NEWEST_LEVEL + 1, 1), rows)).toThrow(/feature level/);
  const value = encodeCommand({ type: 'raiseLevel', level: NEWEST_LEVEL + 1 }).subarray(2);
  const row = { table: 'feature-level', key: new Uint8Array(0), value } as const;
  expect(() => bornAt(1).load([row])).toThrow(FeatureLevelError);
});
