import { expect, it } from 'vitest';
import { logsOf, trimmed } from '../../../chaos/prove/trim.ts';
import {
  acked,
  check,
  drained,
  end,
  fault,
  given,
  leader,
  prepare,
  produce,
  read,
  receive,
  topic,
} from '../histories.ts';

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

const HERE = new Set(['queue 0']);

it('one queue of the topic of the run stays, and what is about no queue', () => {
  const [first, , mine, , , half, , asked, , , shown, struck] = history;
  expect(trimmed(history, HERE)).toEqual([first, mine, half, asked, shown, struck]);
});

it('a transaction stays whole that has a part there, or an offset', () => {
  const others = [{ queue: 1, values: ['v.1'] }];
  const moves = [{ group: 'g', topic: 'w', queue: 2, offset: 1 }];
  const made = prepare('s', ['v.0'], { queue: 3, others, moves });
  const all = [made, end('s', 'rollback', { queue: 3 }), check('s', 20)];
  for (const log of ['queue 1', 'queue 3', 'queue 2 of w']) {
    expect(trimmed([...all, read(0, [])], new Set([log]))).toEqual(all);
  }
  expect(trimmed(all, HERE)).toEqual([]);
  expect(logsOf(all, [1])).toEqual(new Set(['queue 3', 'queue 1', 'queue 2 of w']));
});

it('of deliveries those stay that are from there, and those that nobody knows', () => {
  const other = { ...given(7, 1, 20), queue: 1 };
  const lost = receive(30, [], { outcome: 'unknown' });
  const all = [receive(10, [given(0, 1, 10), other]), receive(20, [other]), receive(25, []), lost];
  const rest = [acked(0, 10, 40), drained(8), drained(8, { queue: 1 })];
  const [both] = all;
  expect(trimmed([...all, ...rest], new Set(['queue 0 of w']))).toEqual([
    both,
    lost,
    ...rest.slice(0, 2),
  ]);
  expect(logsOf(all, [1])).toEqual(new Set(['queue 0 of w', 'queue 1 of w']));
});

it('a finding is about the queues of its lines', () => {
  expect(logsOf(history, [1, 5, 4, 3])).toEqual(new Set(['queue 0 of id', 'queue 1', 'queue 0']));
  expect(logsOf(history, [1])).toEqual(HERE);
});
