import { expect, it } from 'vitest';
import { queueOf, trimmed } from '../../../chaos/prove/trim.ts';
import { check, end, fault, leader, prepare, produce, read, topic } from '../histories.ts';

const history = [
  leader(1, 1),
  topic('short'),
  produce(0, 1, 0),
  produce(0, 1, 0, { queue: 1 }),
  produce(0, 1, 0, { topic: 'id' }),
  prepare('t', ['v']),
  prepare('u', ['w'], { queue: 1 }),
  check('t', 20),
  check('u', 20),
  end('u', 'commit', { queue: 1 }),
  read(0, ['a.0']),
  fault(30),
];

it('one queue of the topic of the run stays, and what is about no queue', () => {
  const [first, , mine, , , half, , asked, , , shown, struck] = history;
  expect(trimmed(history, 0)).toEqual([first, mine, half, asked, shown, struck]);
});

it('the queue of a finding is that of its first line with one', () => {
  expect(queueOf(history, [1, 5, 4, 3])).toBe(1);
  expect(queueOf(history, [1])).toBe(0);
});
