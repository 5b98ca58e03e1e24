import { describe, expect, test } from 'vitest';
import type { ProposalOutcome } from '../../../raft/driver.ts';
import { type Entry, EntryType } from '../../../raft/types.ts';
import { decodeCommand, firstWriteOf } from '../../../src/broker/command-codec.ts';
import { copyForward, copyRowsForward } from '../../../src/shards/copy-forward.ts';
import { entryOf } from '../../harness/data-shard.ts';

const at = (index: number) => ({ term: 1, index });
const body = (id: number, place = id) => ({ owner: 'delayed' as const, id: at(id), at: at(place) });

/** Entries 1 to 9 of term 1; 5 is damaged. */
function host(fate: ProposalOutcome['status'] = 'applied') {
  const proposed: { head: Uint8Array; payload: Uint8Array }[] = [];
  const entry = (index: number): Entry => ({
    ...{ term: 1, index, type: EntryType.command, timeMs: 0, bodyCrc: 0 },
    ...{ head: new Uint8Array(0), payload: Buffer.from(`body ${index}`) },
  });
  return {
    proposed,
    readEntry: (_: number, index: number, done: (error?: Error, entry?: Entry) => void) => {
      if (index === 5) done(new Error('damaged'), undefined);
      else done(undefined, index < 10 ? entry(index) : undefined);
    },
    propose: (...args: unknown[]) => {
      const [, head, payload, level, done] = args;
      expect(level).toBe('majorityFsync');
      proposed.push({ head: head as Uint8Array, payload: payload as Uint8Array });
      const result = { type: 'copied', moved: true };
      const index = 100 + proposed.length;
      (done as (outcome: object) => void)({ status: fate, index, result });
    },
  } as unknown as Parameters<typeof copyForward>[0] & { proposed: typeof proposed };
}

test('each body goes into the log again, under the name it has', async () => {
  const one = host();
  await copyForward(one, 3, [body(2), body(4, 7)], () => undefined);
  expect(one.proposed.map(({ head }) => decodeCommand(head))).toEqual([
    { type: 'copy', owner: 'delayed', id: at(2), from: at(2) },
    { type: 'copy', owner: 'delayed', id: at(4), from: at(7) },
  ]);
  const texts = one.proposed.map(({ payload }) => Buffer.from(payload).toString());
  expect(texts).toEqual(['body 2', 'body 7']);
});

test('what cannot be read stays where it is, and holds up no other', async () => {
  const one = host();
  const told: string[] = [];
  const bodies = [body(5), body(12), { ...body(3), at: { term: 2, index: 3 } }, body(6)];
  await copyForward(one, 3, bodies, ({ message }, index) => told.push(`${index}: ${message}`));
  expect(told).toEqual(['5: damaged', '12: entry 12 is not there', '3: entry 3 is not there']);
  expect(one.proposed).toHaveLength(1);
});

test('where it cannot be written nothing more is tried', async () => {
  for (const fate of ['notLeader', 'unknown', 'overloaded'] as const) {
    const one = host(fate);
    await copyForward(one, 3, [body(2), body(3)], () => undefined);
    expect(one.proposed).toHaveLength(1);
  }
});

test('messages keep their ids: those of the entry that first held them', () => {
  const copy = { type: 'copy', owner: 'delayed', id: at(4), from: at(7) } as const;
  expect(firstWriteOf(entryOf(copy, 9, 1, 0, 5))).toBe(4);
  const recall = { type: 'recall', index: 4 } as const;
  expect(firstWriteOf(entryOf(recall, 9, 1, 0, 5))).toBe(9);
});

describe('what queues show', () => {
  const row = (index: number, baseOffset: number, queueId = 1) => ({
    row: { queueId, baseOffset, count: 2, index, term: 1, storedAtMs: 3, cumulativeBytes: 9 },
    ...{ lowest: index + 1, until: 40 },
  });

  test('goes into the log again with all that its row says', async () => {
    const one = host();
    await copyRowsForward(one, 3, [row(2, 4)], () => undefined);
    const shown = { queueId: 1, baseOffset: 4, count: 2, storedAtMs: 3, cumulativeBytes: 9 };
    const command = { type: 'copyRow', row: shown, id: at(2), lowest: 3, until: 40 };
    expect(one.proposed.map(({ head }) => decodeCommand(head))).toEqual([command]);
    expect(Buffer.from(one.proposed[0]!.payload).toString()).toBe('body 2');
    const entry = entryOf(decodeCommand(one.proposed[0]!.head), 9, 1, 0, 5);
    expect(firstWriteOf(entry)).toBe(2);
  });

  test('of a compacted queue goes into the log again as what is left of it', async () => {
    const one = host();
    const compaction = { before: 7, left: 4 };
    const rows = [row(2, 4), row(3, 6)].map((copy) => ({ ...copy, compaction }));
    await copyRowsForward(one, 3, rows, () => undefined);
    const commands = one.proposed.map(({ head }) => decodeCommand(head));
    const run = { offset: 4, count: 2, storedAtMs: 3, firstIndex: 2, firstPosition: 0 };
    const first = { type: 'compactRows', replaced: [], runs: [run], left: 4, until: 40 };
    expect(commands[0]).toMatchObject({ ...first, row: { baseOffset: 4 }, before: 7, lowest: 3 });
    // The second one comes after what the first has changed.
    expect(commands[1]).toMatchObject({ row: { baseOffset: 6 }, before: 101, lowest: 4 });
  });

  test('stays where something before it in its bucket cannot be read', async () => {
    const one = host();
    const told: number[] = [];
    const rows = [row(2, 4), row(5, 6), row(6, 8), row(7, 2000), row(8, 6, 2)];
    await copyRowsForward(one, 3, rows, (_, index) => told.push(index));
    expect(told).toEqual([5]);
    const texts = one.proposed.map(({ payload }) => Buffer.from(payload).toString());
    expect(texts).toEqual(['body 2', 'body 7', 'body 8']);
  });
});
