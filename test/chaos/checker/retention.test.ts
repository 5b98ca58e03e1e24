import { retention } from '../../../chaos/checker/retention.ts';
import type { Read } from '../../../chaos/history.ts';
import { listed, produce, read, topic } from '../histories.ts';
import { labelled } from './labelled.ts';

const look = (atMs: number, startOffset: number, other: Partial<Read> = {}) =>
  read(9, [], {
    ...{ invokedMs: atMs, completedMs: atMs + 1, startOffset, linearizable: true, topic: 't' },
    ...other,
  });
const brief = topic('t', { retentionMs: 5000 });
const sent = produce(0, 2, 0, { topic: 't', invokedMs: 100, completedMs: 101 });
const gone = (atMs: number, startOffset: number) =>
  listed(atMs, 9, { startOffset, topic: 'chaos' });

labelled(retention, {
  good: [
    ['nothing is gone', [sent, look(200, 0)]],
    ['gone in time', [brief, sent, look(200, 0), look(6000, 2), look(7000, 2)]],
    [
      'a late node shows an older start',
      [brief, look(6000, 2), look(7000, 0, { linearizable: false })],
    ],
    [
      'counted from an attempt without an answer',
      [
        brief,
        produce(0, 2, undefined, { topic: 't', outcome: 'unknown', reason: '' }),
        produce(0, 2, 0, { topic: 't', invokedMs: 4000, completedMs: 4001, duplicate: true }),
        look(6000, 2),
      ],
    ],
    ['two at once', [brief, look(6000, 2, { completedMs: 9000 }), look(7000, 0)]],
  ],
  bad: [
    ['falls', [brief, look(6000, 2), look(7000, 1, { node: 2 })], [2, 3]],
    ['beyond its end', [brief, look(6000, 10)], [2]],
    ['falls in a list', [look(6000, 2, { topic: 'chaos' }), gone(7000, 1)], [1, 2]],
    ['kept for ever, says a list', [{ ...sent, topic: 'chaos' }, gone(7000, 1)], [1, 2]],
    ['before its time', [brief, sent, look(3000, 1)], [2, 3]],
    ['kept for ever', [topic('t'), sent, look(99_000, 1)], [2, 3]],
  ],
});
