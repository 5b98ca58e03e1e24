import { describe, expect, it } from 'vitest';
import { ShardFixture } from '../../harness/data-shard.ts';

function opened(limits: ConstructorParameters<typeof ShardFixture>[0] = {}): ShardFixture {
  const test = new ShardFixture(limits);
  test.open(1);
  test.open(2);
  return test;
}

function refusal(reason: string, expected: number, given: number): object {
  return { type: 'refused', refusal: { reason, expected, given } };
}

describe('idempotent producing', () => {
  it('answers a repeated request with its first answer', () => {
    const test = opened();
    const first = test.send(0, 3);
    test.term = 2;
    test.produce(1, 5);
    const second = test.send(3, 2);
    expect(second).toMatchObject({ baseOffset: 8, duplicate: false });
    const rows = test.rows.dump();
    const indexed = test.rows.index.length;
    for (const twin of [test, test.reloaded()]) {
      expect(twin.send(0, 3)).toEqual({ ...first, duplicate: true });
      expect(twin.send(3, 2)).toEqual({ ...second, duplicate: true });
      expect(twin.rows.dump()).toEqual(rows);
    }
    expect(test.rows.index).toHaveLength(indexed);
    expect(test.state.queue(1)?.endOffset).toBe(10);
  });

  it('refuses gaps, for unknown producers too', () => {
    const test = opened();
    expect(test.send(1)).toEqual(refusal('SEQUENCE_GAP', 0, 1));
    test.send(0, 4);
    expect(test.send(5)).toEqual(refusal('SEQUENCE_GAP', 4, 5));
    expect(test.send(4)).toMatchObject({ type: 'produced', baseOffset: 4 });
  });

  it('refuses the same sequence with another count, and one inside an earlier request', () => {
    const test = opened();
    test.send(0, 4);
    expect(test.send(0, 3)).toEqual(refusal('SEQUENCE_MISMATCH', 4, 0));
    expect(test.send(0, 5)).toEqual(refusal('SEQUENCE_MISMATCH', 4, 0));
    expect(test.send(2, 2)).toEqual(refusal('SEQUENCE_MISMATCH', 4, 2));
  });

  it('remembers the last 64 requests', () => {
    const test = opened();
    for (let i = 0; i < 65; i += 1) test.send(i * 2, 2);
    expect(test.send(0, 2)).toEqual(refusal('SEQUENCE_TOO_OLD', 130, 0));
    expect(test.send(2, 2)).toMatchObject({ duplicate: true, baseOffset: 2 });
    expect(test.send(128, 2)).toMatchObject({ duplicate: true, baseOffset: 128 });
  });

  it('starts again with a higher epoch and fences the lower one', () => {
    const test = opened();
    test.send(0, 4);
    expect(test.send(4, 1, { epoch: 1 })).toEqual(refusal('SEQUENCE_GAP', 0, 4));
    expect(test.send(0, 4, { epoch: 1 })).toMatchObject({ baseOffset: 4, duplicate: false });
    for (const twin of [test, test.reloaded()]) {
      expect(twin.send(0, 4)).toEqual({
        type: 'refused',
        refusal: { reason: 'PRODUCER_FENCED', epoch: 1, given: 0 },
      });
      expect(twin.send(0, 4, { epoch: 1 })).toMatchObject({ baseOffset: 4, duplicate: true });
    }
  });

  it('keeps producers and queues apart', () => {
    const test = opened();
    test.send(0);
    expect(test.send(0, 1, { queueId: 2 })).toMatchObject({ baseOffset: 0, duplicate: false });
    expect(test.send(0, 1, { id: 'q' })).toMatchObject({ baseOffset: 1, duplicate: false });
    expect(test.state.counts().producers).toBe(3);
    test.apply({ type: 'closeQueue', queueId: 2 });
    expect(test.state.counts().producers).toBe(2);
    expect(test.send(0)).toMatchObject({ duplicate: true });
  });

  it('lets the sequence skip after a request at a weaker level', () => {
    const test = opened();
    test.send(0, 1, { durability: 2 });
    for (const twin of [test, test.reloaded()]) {
      expect(twin.send(5, 1)).toMatchObject({ baseOffset: 1, duplicate: false });
      expect(twin.send(7, 1)).toEqual(refusal('SEQUENCE_GAP', 6, 7));
      expect(twin.send(3, 1)).toEqual(refusal('SEQUENCE_TOO_OLD', 6, 3));
      expect(twin.send(0, 1)).toMatchObject({ baseOffset: 0, duplicate: true });
    }
  });

  it('lets a weaker request itself skip: what it follows may be lost', () => {
    const test = opened();
    expect(test.send(10, 1, { durability: 3 })).toMatchObject({ duplicate: false });
    expect(test.send(20, 1, { durability: 4 })).toMatchObject({ duplicate: false });
    expect(test.send(10, 1, { durability: 3 })).toMatchObject({ duplicate: true });
  });

  it('is not touched by what it refuses', () => {
    const test = opened();
    test.send(0);
    const rows = test.rows.dump();
    test.send(5);
    test.send(0, 2);
    test.send(0, 1, { id: 'unknown', epoch: 0, durability: 1, queueId: 9 });
    expect(test.rows.dump()).toEqual(rows);
  });
});

describe('forgetting producers', () => {
  it('takes the longest idle ones when there are too many', () => {
    const test = opened({ maxProducers: 3 });
    for (const id of ['a', 'b', 'c']) test.send(0, 1, { id });
    test.send(1, 1, { id: 'a' });
    for (const twin of [test, test.reloaded()]) {
      twin.send(0, 1, { id: 'd' });
      expect(twin.state.counts().producers).toBe(3);
      expect(twin.send(1, 1, { id: 'b' })).toEqual(refusal('SEQUENCE_GAP', 0, 1));
      expect(twin.send(0, 1, { id: 'a' })).toMatchObject({ duplicate: true });
    }
  });

  it('takes those idle for too long when another comes, some at a time', () => {
    const test = opened({ producerIdleMs: 100 });
    for (let i = 0; i < 20; i += 1) test.send(0, 1, { id: `p${i}` });
    test.timeMs += 99;
    test.send(0, 1, { id: 'x' });
    expect(test.state.counts().producers).toBe(21);
    test.timeMs += 1;
    test.send(0, 1, { id: 'y' });
    expect(test.state.counts().producers).toBe(22 - 16);
    test.send(0, 1, { id: 'z' });
    expect(test.state.counts().producers).toBe(3);
    expect(test.reloaded().state.counts().producers).toBe(3);
  });
});
