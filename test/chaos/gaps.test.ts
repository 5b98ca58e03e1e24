import { describe, expect, it } from 'vitest';
import { gapsByNemesis, gapsOf, summarizeGaps } from '../../chaos/gaps.ts';
import type { History } from '../../chaos/history.ts';
import { end, fault, prepare, produce } from './histories.ts';

const msOf = (history: History) => gapsOf(history).map(({ ms }) => ms);
const acks = (queue: number, ...times: number[]) =>
  times.map((completedMs, i) => produce(i, 1, i, { queue, completedMs }));

describe('the time without an acknowledgement', () => {
  it('is from the last ack before a fault to the first one after', () => {
    expect(msOf([...acks(0, 0, 90, 340, 350), fault(100)])).toEqual([250]);
  });

  it('is not hidden by an ack that was on its way', () => {
    expect(msOf([...acks(0, 90, 101, 401), fault(100)])).toEqual([300]);
  });

  it('counts what began as long as the fault was on', () => {
    const history = [...acks(0, 90, 110, 700, 900, 2500), fault(100, { endMs: 1000 })];
    expect(msOf(history)).toEqual([1600]);
  });

  it('is not stretched by what came much later', () => {
    expect(msOf([...acks(0, 90, 110, 700, 9000), fault(100)])).toEqual([590]);
  });

  it('counts the slowest of the queues that lost their leader, and no other', () => {
    const history = [...acks(0, 90, 200), ...acks(1, 90, 400), ...acks(2, 0, 450)];
    expect(msOf([...history, fault(100, { queues: [0, 1] })])).toEqual([310]);
  });

  it('ignores the queues of other topics', () => {
    const others = acks(0, 150, 200, 250).map((ack) => ({ ...ack, topic: 't' }));
    expect(msOf([...acks(0, 90, 290), ...others, fault(100)])).toEqual([200]);
  });

  it('lasts to the end of the history when no ack comes any more', () => {
    const history = [...acks(0, 90), ...acks(1, 90, 110, 800)];
    expect(msOf([...history, fault(100)])).toEqual([710]);
  });

  it('ignores attempts that were not acknowledged, and faults that did not take', () => {
    const failed = { ...produce(9, 1, undefined), completedMs: 120, outcome: 'fail' as const };
    expect(msOf([...acks(0, 90, 190), failed, fault(100)])).toEqual([100]);
    expect(msOf([...acks(0, 90, 190), fault(100, { state: 'indeterminate' })])).toEqual([]);
  });

  it('lasts as long as the fault, at least, when nothing at all was acknowledged after it', () => {
    expect(msOf([...acks(0, 40, 90), fault(100, { endMs: 700 })])).toEqual([610]);
  });

  it('is not measured where nothing was acknowledged before', () => {
    expect(msOf([...acks(1, 50, 150), fault(100)])).toEqual([]);
    expect(msOf([...acks(0, 700, 800), fault(100)])).toEqual([]);
    expect(summarizeGaps(gapsOf([...acks(1, 50, 150), fault(100)]))).toBeNull();
    const both = [...acks(0, 160, 400), ...acks(1, 50, 150, 250, 350)];
    expect(msOf([...both, fault(100, { queues: [0, 1] })])).toEqual([100]);
  });

  it('counts what transactions write, in each of their queues', () => {
    const others = [{ queue: 1, values: ['t.1'] }];
    const committed = [{ queue: 1, baseOffset: 0 }];
    const half = (completedMs: number) => prepare('t', ['t.0'], { completedMs, others });
    const ended = (completedMs: number) =>
      end('t', 'commit', { completedMs, baseOffset: 0, others: committed });
    const back = end('u', 'rollback', { completedMs: 450 });
    const unknown = { ...half(150), outcome: 'unknown' as const };
    const history = [half(90), unknown, ended(190), half(400), back, ended(800)];
    expect(msOf([...history, fault(100, { queues: [1], endMs: 300 })])).toEqual([400]);
    expect(msOf([...history, fault(100, { queues: [0], endMs: 300 })])).toEqual([350]);
    const elsewhere = history.map((event) =>
      'others' in event ? { ...event, others: [{ ...event.others![0]!, topic: 't' }] } : event,
    ) as History;
    expect(msOf([...elsewhere, fault(100, { queues: [1] })])).toEqual([]);
  });

  it('has beside it what the same queues showed in the second before', () => {
    const history = [...acks(0, 0, 500, 2000, 2030, 2090, 2100, 2350), fault(2110)];
    expect(gapsOf(history)).toMatchObject([{ ms: 250, calmMs: 60 }]);
  });
});

const gap = (nemesis: string, ms: number, calmMs = 1) => ({ nemesis, ms, calmMs });
const summaryOf = (...gaps: number[]) => summarizeGaps(gaps.map((ms) => gap('a', ms)));

it('median, 99th percentile and worst', () => {
  expect(summaryOf()).toBeNull();
  expect(summaryOf(300)).toEqual({ median: 300, p99: 300, worst: 300, calm: 1 });
  expect(summaryOf(100, 900, 300)).toMatchObject({ median: 300, p99: 900, worst: 900 });
  expect(summaryOf(100, 200, 300, 900)).toMatchObject({ median: 250, p99: 900, worst: 900 });
  const many = Array.from({ length: 200 }, (_, i) => 200 - i);
  expect(summaryOf(...many)).toMatchObject({ p99: 198, worst: 200 });
  const calm = [gap('a', 5, 9), gap('a', 6, 3), gap('a', 7, 4)];
  expect(summarizeGaps(calm)).toMatchObject({ calm: 4 });
});

it('by nemesis', () => {
  expect(gapsByNemesis([gap('a', 1), gap('b', 5), gap('a', 3)])).toEqual({
    a: { median: 2, p99: 3, worst: 3, calm: 1 },
    b: { median: 5, p99: 5, worst: 5, calm: 1 },
  });
});
