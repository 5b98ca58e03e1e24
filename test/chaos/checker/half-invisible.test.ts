import { halfInvisible } from '../../../chaos/checker/half-invisible.ts';
import { committed, end, given, moved, prepare, read, receive } from '../histories.ts';
import { labelled } from './labelled.ts';

const half = prepare('t', ['t.0']);
/** `end` is invoked at 50, `read` completes at 101. */
const seen = read(0, ['t.0']);

const mover = prepare('m', ['m.0'], { moves: [moved(undefined, 4)] });
const other = prepare('o', ['o.0'], { moves: [moved(undefined, 4)] });
const taken = receive(60, [given(0, 1, 60, { value: 't.0' })]);
const stands = (atMs: number) => committed(atMs, 4, { queue: 9 });

labelled(halfInvisible, {
  good: [
    ['after its commit', [half, end('t', 'commit'), seen]],
    ['while its commit is under way', [half, end('t', 'commit', { completedMs: 500 }), seen]],
    ['its commit is unknown', [half, end('t', 'commit', { outcome: 'unknown' }), seen]],
    ['never seen', [half, read(0, [])]],
    ['given after its commit', [half, end('t', 'commit'), taken]],
    ['an offset behind its commit', [mover, end('m', 'commit'), stands(60)]],
    ['moved by another one', [other, mover, end('m', 'commit'), stands(60)]],
    ['rolled back, never seen', [half, end('t', 'rollback'), read(0, [])]],
  ],
  bad: [
    ['undecided', [half, seen], [1, 2]],
    ['after its rollback', [half, end('t', 'rollback'), seen], [1, 3]],
    ['its rollback is unknown', [half, end('t', 'rollback', { outcome: 'unknown' }), seen], [1, 3]],
    [
      'before its commit was asked for',
      [half, end('t', 'commit', { invokedMs: 200 }), seen],
      [1, 2, 3],
    ],
    ['its commit was refused', [half, end('t', 'commit', { outcome: 'fail' }), seen], [1, 2, 3]],
    ['given to a consumer before its commit', [half, taken], [1, 2]],
    ['an offset of nobody who committed', [mover, other, stands(60)], [1, 3]],
    ['an offset before the commit', [mover, end('m', 'commit'), stands(40)], [1, 2, 3]],
    ['by a read that failed', [half, { ...seen, outcome: 'unknown' as const }], [1, 2]],
  ],
});
