import { describe, expect, it } from 'vitest';
import { gapsMs, summarizeGaps } from '../../chaos/gaps.ts';
import { kill, produce } from './histories.ts';

const acks = (queue: number, ...times: number[]) =>
  times.map((completedMs, i) => produce(i, 1, i, { queue, completedMs }));

describe('the time without an acknowledgement', () => {
  it('is from the last ack before a kill to the first one after', () => {
    expect(gapsMs([...acks(0, 0, 90, 340, 350), kill(100)])).toEqual([250]);
  });

  it('is not hidden by an ack that was on its way', () => {
    expect(gapsMs([...acks(0, 90, 101, 401), kill(100)])).toEqual([300]);
  });

  it('is not stretched by what came much later', () => {
    expect(gapsMs([...acks(0, 90, 110, 700, 9000), kill(100)])).toEqual([590]);
  });

  it('counts the slowest of the queues that lost their leader, and no other', () => {
    const history = [...acks(0, 90, 200), ...acks(1, 90, 400), ...acks(2, 0, 450)];
    expect(gapsMs([...history, kill(100, { queues: [0, 1] })])).toEqual([310]);
  });

  it('lasts to the end of the history when no ack comes any more', () => {
    const history = [...acks(0, 90), ...acks(1, 90, 110, 800)];
    expect(gapsMs([...history, kill(100)])).toEqual([710]);
  });

  it('ignores attempts that were not acknowledged, and kills that did not land', () => {
    const failed = { ...produce(9, 1, undefined), completedMs: 120, outcome: 'fail' as const };
    expect(gapsMs([...acks(0, 90, 190), failed, kill(100)])).toEqual([100]);
    expect(gapsMs([...acks(0, 90, 190), kill(100, { landed: false })])).toEqual([]);
  });
});

it('median and worst', () => {
  expect(summarizeGaps([])).toBeNull();
  expect(summarizeGaps([300])).toEqual({ median: 300, worst: 300 });
  expect(summarizeGaps([100, 900, 300])).toEqual({ median: 300, worst: 900 });
  expect(summarizeGaps([100, 200, 300, 900])).toEqual({ median: 250, worst: 900 });
});
