import { expect, it } from 'vitest';
import { halfVisibility } from '../../../chaos/checker/half-visibility.ts';
import type { History } from '../../../chaos/history.ts';
import { end, prepare, read } from '../histories.ts';

const half = prepare('t', ['t.0', 't.1']);
/** `end` is invoked at 50, `read` completes at 101. */
const seen = read(0, ['t.0']);

it.each<[string, History]>([
  ['after its commit', [half, end('t', 'commit'), seen]],
  ['while its commit is under way', [half, end('t', 'commit', { completedMs: 500 }), seen]],
  ['its commit is unknown', [half, end('t', 'commit', { outcome: 'unknown' }), seen]],
  ['never seen', [half, read(0, ['a.0'])]],
  ['rolled back, never seen', [half, end('t', 'rollback'), read(0, [])]],
])('fine: %s', (_, history) => {
  expect(halfVisibility(history)).toEqual([]);
});

it.each<[string, History]>([
  ['undecided', [half, seen]],
  ['after its rollback', [half, end('t', 'rollback'), seen]],
  ['its rollback is unknown', [half, end('t', 'rollback', { outcome: 'unknown' }), seen]],
  ['before its commit was asked for', [half, end('t', 'commit', { invokedMs: 200 }), seen]],
  ['its commit was refused for certain', [half, end('t', 'commit', { outcome: 'fail' }), seen]],
  ['by a read that failed', [half, { ...seen, outcome: 'unknown' as const }]],
])('seen: %s', (_, history) => {
  expect(halfVisibility(history).map(({ kind }) => kind)).toEqual(['halves_seen']);
});
