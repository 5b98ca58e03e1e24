import { describe, expect, it } from 'vitest';
import { ShardClaims } from '../../../src/backup/claims.ts';
import { type Cut, closedCut } from '../../../src/backup/closed-cut.ts';
import { demandsOf } from '../../../src/backup/demands.ts';
import { ShardReplay } from '../../../src/backup/shard-replay.ts';
import { BIRTH, History, type MadeHistory, type Random, randomFrom } from './histories.ts';

const HISTORIES = 200;
const NOWHERE = { index: 0, term: 0, timeMs: 0 };

/** As a backup reads the shards: from a checkpoint somewhere below the floor. */
function cutOf({ ceilings, floors, shards }: MadeHistory, random: Random): Cut {
  const all = new Map<number, ShardClaims>();
  for (const [shard, entries] of shards.logs) {
    const floor = floors.get(shard)!;
    const start = random(floor + 1);
    const before = new ShardReplay(shard, BIRTH, NOWHERE, []);
    for (const entry of entries.slice(0, start)) before.apply(entry);
    const replay = new ShardReplay(shard, BIRTH, before.last, before.rows());
    const claims = new ShardClaims(replay, floor);
    for (const entry of entries.slice(start, ceilings.get(shard))) claims.apply(entry);
    all.set(shard, claims);
  }
  return closedCut(floors, ceilings, demandsOf(all));
}

/** What is wrong with a cluster that is restored from the cut; nothing, if all is well. */
function problemsOf(history: MadeHistory, cut: Cut): string[] {
  const restored = history.shards.cutAt(cut);
  restored.settle();
  const { groups, owed, transactions } = history;
  const problems = [...owed]
    .filter((name) => !restored.visible.has(name))
    .map((name) => `lost ${name}`);
  for (const { committedAt, offsets, parts } of transactions) {
    const open = parts.filter(({ index, shard }) => isQueueThere(history, restored, shard, index));
    const shown = open.filter(({ index, shard }) => restored.visible.has(`${shard}:${index}`));
    if (shown.length > 0 && shown.length < open.length) {
      problems.push(`half a transaction: ${JSON.stringify({ parts, shown })}`);
    }
    const counts = offsets && isOpen(restored, offsets.queue.shard, offsets.queue.queueId);
    const moved = offsets && committed(offsets.group, groups, restored).length > 0;
    if (counts === true && open.length > 0 && moved !== shown.length > 0) {
      problems.push(
        `offsets ${moved ? 'without' : 'not beside'} messages: ${JSON.stringify(parts)}`,
      );
    }
    if (committedAt < history.begunAt && shown.length < open.length) problems.push('lost a commit');
  }
  for (const group of groups.keys()) {
    for (const { end, offset } of committed(group, groups, restored)) {
      if (offset > end)
        problems.push(`${group} has read up to ${offset}, and the queue ends at ${end}`);
    }
  }
  return [...problems, ...topicProblems(restored)];
}

/** A part whose queue was deleted with its topic is gone, whatever became of the others. */
function isQueueThere(
  { shards }: MadeHistory,
  restored: MadeHistory['shards'],
  shard: number,
  index: number,
): boolean {
  const part = shards.data(shard).part(index) ?? restored.data(shard).part(index);
  return part !== undefined && isOpen(restored, shard, part.queueId);
}

function isOpen(restored: MadeHistory['shards'], shard: number, queueId: number): boolean {
  return restored.data(shard).queue(queueId)?.open === true;
}

function committed(
  group: string,
  groups: ReadonlyMap<string, number>,
  restored: MadeHistory['shards'],
): { readonly offset: number; readonly end: number }[] {
  const data = restored.data(groups.get(group)!);
  return data.groupTopicIds(group).flatMap((topicId) => {
    const queues = restored.meta.topicById(topicId)?.queues ?? [];
    return data.groupOffsets(group, topicId).map(({ offset, queue }) => {
      const at = queues[queue];
      const view = at && restored.data(at.shard).queue(at.queueId);
      // What is committed of a topic that was just deleted is of no use, and harms nobody.
      return { offset, end: view?.endOffset ?? Number.POSITIVE_INFINITY };
    });
  });
}

function topicProblems({ meta, replays }: MadeHistory['shards']): string[] {
  const problems: string[] = [];
  const known = new Set<number>();
  for (const { name, queues } of meta.topics('', 1000)) {
    for (const { queueId, shard } of queues) {
      known.add(queueId);
      const isOpen = replays.get(shard)!.data!.queue(queueId)?.open === true;
      if (!isOpen) problems.push(`queue ${queueId} of ${name} is not open`);
    }
  }
  for (const { data } of replays.values()) {
    for (const { open, queueId } of data?.queues() ?? []) {
      if (open && !known.has(queueId)) problems.push(`queue ${queueId} is of no topic`);
    }
  }
  return problems;
}

describe('the closed cut', () => {
  it('of any history restores whole transactions, and all that was acknowledged', () => {
    let [lowered, shown] = [0, 0];
    for (let seed = 1; seed <= HISTORIES; seed += 1) {
      const history = new History(seed).run();
      const cut = cutOf(history, randomFrom(seed));
      expect([seed, problemsOf(history, cut)]).toEqual([seed, []]);
      for (const [shard, index] of cut) {
        expect(index).toBeGreaterThanOrEqual(history.floors.get(shard)!);
        if (index < history.ceilings.get(shard)!) lowered += 1;
      }
      shown += history.owed.size;
    }
    expect(lowered).toBeGreaterThan(HISTORIES / 10);
    expect(shown).toBeGreaterThan(HISTORIES * 5);
  });

  it('is needed: neither floors nor ceilings fit together', () => {
    const broken = { floors: 0, ceilings: 0 };
    for (let seed = 1; seed <= HISTORIES; seed += 1) {
      const history = new History(seed).run();
      for (const which of ['floors', 'ceilings'] as const) {
        if (problemsOf(history, history[which]).length > 0) broken[which] += 1;
      }
    }
    expect(broken.floors).toBeGreaterThan(HISTORIES / 10);
    expect(broken.ceilings).toBeGreaterThan(HISTORIES / 10);
  });

  it('leaves out what rests on more than there is, and what rests on that', () => {
    const floors = new Map([
      [1, 5],
      [2, 5],
      [3, 5],
    ]);
    const ceilings = new Map([
      [1, 9],
      [2, 9],
      [3, 9],
    ]);
    const demands = [
      { shard: 1, at: 7, on: 2, index: 10 },
      { shard: 2, at: 8, on: 1, index: 7 },
      { shard: 3, at: 6, on: 1, index: 6 },
      { shard: 3, at: 9, on: 2, index: 8 },
    ];
    expect(closedCut(floors, ceilings, demands)).toEqual(
      new Map([
        [1, 6],
        [2, 7],
        [3, 8],
      ]),
    );
    const tooMuch = [{ shard: 1, at: 5, on: 2, index: 10 }];
    expect(() => closedCut(floors, ceilings, tooMuch)).toThrow('never left out');
  });
});
