import { oneHolder } from '../../../chaos/checker/one-holder.ts';
import type { Settle, Settled } from '../../../chaos/history.ts';
import { acked, given, LEASE_MS, receive, settle, take } from '../histories.ts';
import { labelled } from './labelled.ts';

const item = (fence: number, other: Partial<Settled> = {}): Settled => ({
  ...{ queue: 0, offset: 0, fence, status: 'SETTLED' },
  ...other,
});
const nack = (atMs: number, fence: number, dueMs: number, other: Partial<Settle> = {}) =>
  settle('nack', atMs, [item(fence, { dueMs })], other);
const extend = (atMs: number, fence: number, dueMs: number) =>
  settle('extend', atMs, [item(fence, { dueMs })]);
const unanswered = { queue: 0, offset: 0, fence: 1000 };

/** Given at 1000, for so long. */
const first = take(0, 1, 1000);
const over = 1000 + LEASE_MS;

labelled(oneHolder, {
  good: [
    ['given once', [first, acked(0, 1000, 1050)]],
    ['again when its lease is over', [first, take(0, 2, over), acked(0, over, over + 10)]],
    ['again when it was given back', [first, nack(1010, 1000, 1010), take(0, 2, 1020)]],
    [
      'whether it was given back is not known',
      [first, settle('nack', 1010, [unanswered], { outcome: 'unknown' }), take(0, 2, 1020)],
    ],
    ['kept longer', [first, extend(1050, 1000, 1200), take(0, 2, 1200)]],
    [
      'what an old holder says is refused',
      [first, take(0, 2, over), acked(0, 1000, over + 20, 'STALE_TOKEN')],
    ],
    ['an Ack after the lease, before anybody else gets it', [first, acked(0, 1000, over + 20)]],
    [
      'an attempt that reached nobody',
      [first, receive(over, [], { outcome: 'unknown' }), take(0, 3, over + LEASE_MS)],
    ],
    ['other messages', [first, take(1, 1, 1010)]],
    ['another group', [first, take(0, 1, 1010, { group: 'h' })]],
    ['another queue', [first, receive(1010, [given(0, 1, 1010, { queue: 1 })])]],
  ],
  bad: [
    ['two have it', [first, take(0, 2, 1050)], [1, 2]],
    [
      'too early by the clock of the run',
      [
        take(0, 1, 1000),
        receive(1010, [given(0, 2, 1500)]),
        receive(1020, [given(0, 3, 3000, { untilMs: 3000 + LEASE_MS })]),
      ],
      [2, 3],
    ],
    ['two under one token', [first, receive(over, [given(0, 2, over, { fence: 1000 })])], [1, 2]],
    ['an attempt comes twice', [first, take(0, 1, over)], [1, 2]],
    ['an attempt is left out', [first, take(0, 3, over)], [1, 2]],
    ['it was to be kept longer', [first, extend(1050, 1000, 1300), take(0, 2, 1200)], [1, 3]],
    ['it was to come later', [first, nack(1010, 1000, 1400), take(0, 2, 1200)], [1, 3]],
    ['the old token counts', [first, take(0, 2, over), acked(0, 1000, over + 20)], [2, 3]],
    [
      'the old token gives it back',
      [first, take(0, 2, over), nack(over + 20, 1000, over + 20)],
      [2, 3],
    ],
  ],
});
