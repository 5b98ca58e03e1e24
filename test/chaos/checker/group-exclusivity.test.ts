import { groupExclusivity } from '../../../chaos/checker/group-exclusivity.ts';
import type { Commit, Held } from '../../../chaos/history.ts';
import { labelled } from './labelled.ts';

const held = (process: string, fromMs: number, toMs: number, other: Partial<Held> = {}): Held => ({
  ...{ type: 'held', process, invokedMs: fromMs, completedMs: toMs, outcome: 'ok' },
  ...{ group: 'g', queue: 0, since: 5 },
  ...other,
});
const commit = (atMs: number, generation: number): Commit => ({
  ...{ type: 'commit', process: 'a', invokedMs: atMs, completedMs: atMs + 5, outcome: 'ok' },
  ...{ group: 'g', queue: 0, offset: 3, generation },
});

labelled(groupExclusivity, {
  good: [
    ['one after the other', [held('a', 0, 10), held('b', 10, 20)]],
    ['other queues', [held('a', 0, 10), held('b', 5, 20, { queue: 1 })]],
    ['other groups', [held('a', 0, 10), held('b', 5, 20, { group: 'h' })]],
    ['told twice', [held('a', 0, 10), held('a', 5, 20)]],
    ['in its own generation', [held('a', 0, 10), commit(5, 5)]],
    [
      'on its way as the next generation was told',
      [held('b', 10, 20, { since: 9 }), commit(10, 5)],
    ],
  ],
  bad: [
    ['two at a time', [held('a', 0, 10), held('b', 9, 20)], [1, 2]],
    ['within the other', [held('a', 0, 90), held('b', 9, 20), held('c', 30, 40)], [1, 2], [1, 3]],
    ['a former generation', [held('b', 10, 20, { since: 9 }), commit(11, 5)], [1, 2]],
  ],
});
