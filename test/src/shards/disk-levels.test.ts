import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DISK_LEVELS, type DiskLevel } from '../../../src/cluster/api.ts';
import { Roster } from '../../../src/cluster/roster.ts';
import { DEFAULTS } from '../../../src/config.ts';
import { DiskLevels } from '../../../src/shards/disk-levels.ts';
import { measureDisk, nextLevel, RELIEF_PERCENT } from '../../../src/shards/disk-meter.ts';
import { born } from '../../harness/births.ts';
import { MemoryRows } from '../../harness/state-rows.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

const MARKS = DEFAULTS.retention;

describe('the level of a disk', () => {
  test('rises at its marks, and falls a little below them', () => {
    const levels = (...percents: number[]) => {
      let level: DiskLevel = 'low';
      return percents.map((percent) => {
        level = nextLevel(percent, level, MARKS);
        return level;
      });
    };
    expect(levels(74.9, 75, 84.9, 85, 89.9, 90)).toEqual([
      ...['low', 'high', 'high', 'critical', 'critical', 'full'],
    ]);
    expect(levels(90, 89.5, 89, 88.9, 84.5, 83.9)).toEqual([
      ...['full', 'full', 'full', 'critical', 'critical', 'high'],
    ]);
    expect(levels(95, 10)).toEqual(['full', 'low']);
  });

  test('is never below what the disk has, and never above it by more than the relief', () => {
    const marks = [0, MARKS.diskHighPercent, MARKS.diskCriticalPercent, MARKS.diskFullPercent];
    const percent = fc.double({ min: 0, max: 100, noNaN: true });
    fc.assert(
      fc.property(percent, fc.constantFrom(...DISK_LEVELS), (now, before) => {
        const level = DISK_LEVELS.indexOf(nextLevel(now, before, MARKS));
        const above = marks[level + 1];
        expect(above === undefined || now < above).toBe(true);
        expect(now).toBeGreaterThanOrEqual(marks[level]! - (level === 0 ? 0 : RELIEF_PERCENT));
      }),
    );
  });
});

test('how full a disk is: of all it has, or of what the node may take of it', async () => {
  const directory = temporaryDirectory();
  const { percent } = await measureDisk(directory, 0);
  expect(percent).toBeGreaterThan(0);
  expect(percent).toBeLessThanOrEqual(100);
  mkdirSync(join(directory, 'log'));
  writeFileSync(join(directory, 'log', 'one'), Buffer.alloc(1_000_000));
  const ofData = async (maxDataBytes: number) =>
    (await measureDisk(directory, maxDataBytes)).percent;
  expect(await ofData(100_000)).toBeGreaterThanOrEqual(1000);
  expect(await ofData(1e15)).toBeCloseTo(percent, 0);
  await expect(measureDisk(join(directory, 'gone'), 0)).rejects.toThrow('ENOENT');
});

describe('the disks of a shard', () => {
  const roster = new Roster(born(4, 4, 3));
  const levels = new DiskLevels(1, roster);
  const report = (node: number, level: DiskLevel) => {
    const { incarnation } = roster.member(node)!;
    roster.apply({ type: 'reportDisk', node, incarnation, level }, new MemoryRows());
    levels.refresh();
  };
  const without = (node: number) =>
    [1, 2, 3, 4].find((one) => !roster.placement(one)!.voters.some((it) => it.node === node))!;

  test('count where it has replicas, the fullest first', () => {
    report(2, 'critical');
    report(3, 'full');
    const shard = without(3);
    expect([levels.of(shard), levels.fullNode(shard)]).toEqual(['critical', undefined]);
    const other = without(2);
    expect([levels.of(other), levels.fullNode(other)]).toEqual(['full', 3]);
    report(2, 'low');
    report(3, 'low');
    expect([levels.of(shard), levels.of(other)]).toEqual(['low', 'low']);
  });

  test('that pass a mark upwards are told of, once, whosever they are', () => {
    let rises = 0;
    levels.onRise = () => {
      rises += 1;
    };
    const risesAfter = (act: () => void) => {
      act();
      return rises;
    };
    expect(risesAfter(() => report(2, 'high'))).toBe(1);
    expect(risesAfter(() => report(2, 'high'))).toBe(1);
    expect(risesAfter(() => report(2, 'full'))).toBe(2);
    expect(risesAfter(() => report(2, 'critical'))).toBe(2);
    expect(risesAfter(() => levels.setOwn('critical'))).toBe(3);
    expect(risesAfter(() => report(1, 'critical'))).toBe(3);
    report(1, 'low');
    expect(risesAfter(() => levels.setOwn('low'))).toBe(3);
    expect(risesAfter(() => report(2, 'low'))).toBe(3);
    levels.onRise = () => undefined;
  });

  test('do not count while their nodes are silent', () => {
    report(3, 'full');
    const shard = without(2);
    expect(levels.fullNode(shard)).toBe(3);
    levels.setSilent(3, true);
    expect([levels.fullNode(shard), levels.of(shard)]).toEqual([undefined, 'low']);
    levels.setSilent(3, false);
    expect(levels.fullNode(shard)).toBe(3);
    report(3, 'low');
  });

  test("this node's own is known before the metadata has it, and forgotten as soon", () => {
    const shard = without(4);
    levels.setOwn('full');
    expect(levels.fullNode(shard)).toBe(1);
    report(1, 'full');
    levels.setOwn('high');
    expect([levels.fullNode(shard), levels.of(shard)]).toEqual([undefined, 'high']);
    levels.setOwn('low');
    expect(levels.of(shard)).toBe('low');
  });
});
