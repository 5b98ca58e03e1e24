import { expect, test } from 'vitest';
import { Fifo } from '../../raft/fifo.ts';

test('gives items back in order, also over many compactions', () => {
  const fifo = new Fifo<number>();
  let next = 0;
  for (let item = 0; item < 10_000; item++) {
    fifo.push(item);
    if (item % 3 !== 0) expect(fifo.shift()).toBe(next++);
  }
  expect(fifo.size).toBe(10_000 - next);
  expect(fifo.peek()).toBe(next);
  while (fifo.size > 0) expect(fifo.shift()).toBe(next++);
  expect([next, fifo.peek(), fifo.shift()]).toEqual([10_000, undefined, undefined]);
});
