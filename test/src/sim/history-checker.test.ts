/** The judge of histories, against labelled ones: good and bad. */
import { describe, expect, it } from 'vitest';
import { checkHistory, type Truth } from '../../../src/sim/check/history-checker.ts';
import type { Shown } from '../../../src/sim/check/ledger.ts';
import { History, type Outcome, type SentBatch } from '../../../src/sim/workload/history.ts';

interface Sent {
  readonly batch: string;
  readonly at?: number;
  readonly outcome?: Outcome;
  readonly from?: number;
  readonly to?: number;
  readonly count?: number;
  readonly kind?: SentBatch['kind'];
}

function history(...batches: readonly Sent[]): History {
  const made = new History();
  for (const { batch, at, outcome = 'ok', from = 0, to, count = 1, kind = 'plain' } of batches) {
    made.batches.push({
      kind,
      client: 'c',
      queueId: 1,
      batch,
      count,
      invokedAt: from,
      completedAt: outcome === 'unknown' ? undefined : (to ?? from + 1),
      outcome,
      baseOffset: outcome === 'ok' ? at : undefined,
    });
  }
  return made;
}

function truth(
  shown: readonly (readonly [string, number, number?])[],
  offset = 0,
  start = 0,
  waiting: readonly string[] = [],
): Truth {
  const rows = shown.map(([batch, baseOffset, count = 1]): Shown => ({ batch, baseOffset, count }));
  return {
    queues: () => [1],
    shown: (queueId) => (queueId === 1 ? rows : []),
    startOf: () => start,
    waits: (batch) => waiting.includes(batch),
    committed: () => ({ epoch: 1, offset }),
  };
}

describe('good histories', () => {
  it.each([
    ['acknowledged and there', history({ batch: 'a', at: 0 }), truth([['a', 0]])],
    ['unknown and there', history({ batch: 'a', outcome: 'unknown' }), truth([['a', 0]])],
    ['unknown and not there', history({ batch: 'a', outcome: 'unknown' }), truth([])],
    ['failed and not there', history({ batch: 'a', outcome: 'failed' }), truth([])],
    [
      'delayed, and still waiting',
      history({ batch: 'a', kind: 'delayed' }),
      truth([], 0, 0, ['a']),
    ],
    ['delayed, and there by now', history({ batch: 'a', kind: 'delayed' }), truth([['a', 5]])],
    [
      'delayed, behind what was sent later',
      history({ batch: 'a', kind: 'delayed', from: 0 }, { batch: 'b', at: 0, from: 5 }),
      truth([
        ['b', 0],
        ['a', 1],
      ]),
    ],
    [
      'at the same time, in either order',
      history({ batch: 'a', at: 1, from: 0, to: 9 }, { batch: 'b', at: 0, from: 1, to: 8 }),
      truth([
        ['b', 0],
        ['a', 1],
      ]),
    ],
  ])('%s', (_, made, shown) => {
    expect(checkHistory(made, shown).problems).toEqual([]);
  });

  it('counts, and settles what was unknown', () => {
    const made = history(
      { batch: 'a', at: 0 },
      { batch: 'b', outcome: 'unknown', from: 3 },
      { batch: 'c', outcome: 'unknown', from: 4 },
    );
    const found = checkHistory(
      made,
      truth([
        ['a', 0],
        ['b', 1],
      ]),
    );
    const counts = { acked: 1, lost: 0, duplicated: 0, unknownApplied: 1, unknownLost: 1 };
    expect(found).toEqual({ ...counts, problems: [] });
  });

  it('reads that see enough, offsets that rise', () => {
    const made = history({ batch: 'a', at: 0, from: 1, to: 2 });
    made.reads.push({ queueId: 1, invokedAt: 0, completedAt: 3, startOffset: 0, endOffset: 0 });
    made.reads.push({ queueId: 1, invokedAt: 4, completedAt: 5, startOffset: 0, endOffset: 1 });
    const where = { group: 'g', topicId: '7', queue: 0, epoch: 1 };
    made.commits.push({ ...where, offset: 4, completedAt: 6 });
    made.offsetReads.push({ ...where, invokedAt: 5, offset: 0 });
    made.offsetReads.push({ ...where, invokedAt: 7, offset: 4 });
    expect(checkHistory(made, truth([['a', 0]], 4)).problems).toEqual([]);
  });

  it('messages that were deleted, a group that was put back', () => {
    const made = history({ batch: 'a', at: 0, count: 5, to: 1 });
    const read = { queueId: 1, endOffset: 5 };
    made.reads.push({ ...read, invokedAt: 2, completedAt: 3, startOffset: 0 });
    made.trims.push({ queueId: 1, startOffset: 2, completedAt: 4 });
    made.reads.push({ ...read, invokedAt: 5, completedAt: 6, startOffset: 3 });
    const where = { group: 'g', topicId: '7', queue: 0 };
    made.commits.push({ ...where, epoch: 0, offset: 9, completedAt: 7 });
    made.commits.push({ ...where, epoch: 1, offset: 4, completedAt: 8 });
    made.offsetReads.push({ ...where, invokedAt: 9, epoch: 1, offset: 4 });
    expect(checkHistory(made, truth([['a', 0, 5]], 4, 3)).problems).toEqual([]);
  });
});

describe('bad histories', () => {
  it.each([
    ['lost', 'lost', history({ batch: 'a', at: 0 }), truth([])],
    ['elsewhere', 'lost', history({ batch: 'a', at: 1 }), truth([['a', 0]])],
    ['delayed and lost', 'lost', history({ batch: 'a', kind: 'delayed' }), truth([])],
    [
      'twice',
      'duplicate',
      history({ batch: 'a', at: 0 }),
      truth([
        ['a', 0],
        ['a', 1],
      ]),
    ],
    ['sent by nobody', 'phantom', history(), truth([['x', 0]])],
    ['another count', 'phantom', history({ batch: 'a', at: 0, count: 2 }), truth([['a', 0]])],
    [
      'failed or rolled back',
      'aborted',
      history({ batch: 'a', outcome: 'failed' }),
      truth([['a', 0]]),
    ],
    [
      'before what was acknowledged earlier',
      'real time',
      history({ batch: 'a', at: 1, from: 0, to: 1 }, { batch: 'b', at: 0, from: 2, to: 3 }),
      truth([
        ['b', 0],
        ['a', 1],
      ]),
    ],
    [
      'unknown, before what was acknowledged earlier',
      'real time',
      history({ batch: 'a', at: 1, from: 0, to: 1 }, { batch: 'b', outcome: 'unknown', from: 2 }),
      truth([
        ['b', 0],
        ['a', 1],
      ]),
    ],
    [
      'out of the order in which it was sent',
      'send order',
      history(
        { batch: 'a', at: 1, from: 0, to: 9, kind: 'idempotent' },
        { batch: 'b', at: 0, from: 1, to: 8, kind: 'idempotent' },
      ),
      truth([
        ['b', 0],
        ['a', 1],
      ]),
    ],
  ])('%s', (_, word, made, shown) => {
    const { problems } = checkHistory(made, shown);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(word);
  });

  it('counts what is lost and what is there twice', () => {
    const made = history({ batch: 'a', at: 0 }, { batch: 'b', at: 7, from: 2 });
    const found = checkHistory(
      made,
      truth([
        ['a', 0],
        ['a', 1],
      ]),
    );
    expect(found).toMatchObject({ acked: 2, lost: 1, duplicated: 1 });
  });

  it('a stale read, a read that falls, a read of nothing', () => {
    const made = history({ batch: 'a', at: 0, from: 1, to: 2 });
    made.reads.push({ queueId: 1, invokedAt: 3, completedAt: 4, startOffset: 0, endOffset: 0 });
    made.reads.push({ queueId: 1, invokedAt: 5, completedAt: 6, startOffset: 0, endOffset: 2 });
    made.reads.push({ queueId: 1, invokedAt: 7, completedAt: 8, startOffset: 0, endOffset: 1 });
    const { problems } = checkHistory(made, truth([['a', 0]]));
    expect(problems.map((problem) => problem.split(':')[0])).toEqual([
      'stale read',
      'read of nothing',
      'stale read',
    ]);
  });

  it('an offset that was lost, and one read too low', () => {
    const made = history();
    const where = { group: 'g', topicId: '7', queue: 0, epoch: 1 };
    made.commits.push({ ...where, offset: 4, completedAt: 6 });
    made.offsetReads.push({ ...where, invokedAt: 7, offset: 3 });
    expect(checkHistory(made, truth([], 3)).problems).toEqual([
      'offset lost: g/7/0 is 3 of epoch 1, not 4 of epoch 1',
      'stale offset: g/7/0 read 3 of epoch 1, not 4 of epoch 1',
    ]);
  });

  it('a reset that was lost, and one that a read did not see', () => {
    const made = history();
    const where = { group: 'g', topicId: '7', queue: 0 };
    made.commits.push({ ...where, epoch: 1, offset: 4, completedAt: 2 });
    made.commits.push({ ...where, epoch: 2, offset: 1, completedAt: 6 });
    made.offsetReads.push({ ...where, invokedAt: 7, epoch: 1, offset: 9 });
    expect(checkHistory(made, truth([], 9)).problems).toEqual([
      'offset lost: g/7/0 is 9 of epoch 1, not 1 of epoch 2',
      'stale offset: g/7/0 read 9 of epoch 1, not 1 of epoch 2',
    ]);
  });

  it('messages that are back, and messages that nobody deleted', () => {
    const made = history({ batch: 'a', at: 0, count: 5, to: 1 });
    const read = { queueId: 1, endOffset: 5 };
    made.trims.push({ queueId: 1, startOffset: 2, completedAt: 3 });
    made.reads.push({ ...read, invokedAt: 4, completedAt: 5, startOffset: 1 });
    made.reads.push({ ...read, invokedAt: 6, completedAt: 7, startOffset: 4 });
    expect(checkHistory(made, truth([['a', 0, 5]], 0, 2)).problems).toEqual([
      'deleted and back: queue 1 from 1, not 2',
      'deleted by nobody: queue 1 4, not 2',
    ]);
  });
});
