import { expect, it } from 'vitest';
import type { History } from '../../../chaos/history.ts';
import { timelineOf } from '../../../chaos/report/timeline.ts';
import { fault, leader, produce, read, refusedProduce } from '../histories.ts';
import { start } from './runs.ts';

const ack = (i: number, invokedMs: number, completedMs: number) =>
  produce(i, 1, i, { invokedMs, completedMs });
const stop = { type: 'stop', atMs: 2000 } as const;

function timeline(...events: History) {
  return timelineOf([{ ...start, atMs: 1000 }, ...events, stop]);
}

it('counts acknowledged writes, and how long they took', () => {
  const late = { completedMs: 1990 };
  const events = [ack(0, 1000, 1100), ack(1, 1000, 1200), ack(2, 1000, 1300), read(0, [], late)];
  const { lengthMs, slices } = timeline(...events, { ...refusedProduce(3, 1), ...late });
  expect(lengthMs).toBe(1000);
  expect(slices.map(({ rate }) => rate)).toEqual([8, 4, 0, 0]);
  expect(slices[0]).toMatchObject({ atMs: 0, medianMs: 200, worstMs: 200 });
  expect(slices[3]).toMatchObject({ atMs: 750, medianMs: undefined });
});

it('a leader reigns until a newer term, whoever tells of it late', () => {
  const late = leader(1700, 4, { node: 1 });
  const { reigns } = timeline(leader(1100, 4), leader(1600, 5, { node: 2 }), late);
  expect(reigns.map(({ node, atMs, endMs }) => [node, atMs, endMs])).toEqual([
    [1, 100, 600],
    [2, 600, 1000],
  ]);
});

it('faults count from the start, too', () => {
  const { faults } = timeline(fault(1500, { endMs: 1700 }));
  expect(faults).toMatchObject([{ atMs: 500, endMs: 700 }]);
});

it('a long run has no more slices than a picture', () => {
  const long = timelineOf([
    { ...start, atMs: 0 },
    { ...stop, atMs: 3_600_000 },
  ]);
  expect(long.slices.length).toBeLessThanOrEqual(240);
  expect(timelineOf([]).slices).toHaveLength(1);
});
