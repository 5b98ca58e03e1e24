import { describe, expect, it } from 'vitest';
import { type Entry, EntryType } from '../../../raft/types.ts';
import type { Command } from '../../../src/broker/commands.ts';
import { type Applied, SimMachine } from '../../../src/sim/machine.ts';
import { bodyOf } from '../../../src/sim/workload/values.ts';

const OPEN: Command = { type: 'openQueue', queueId: 1, topicId: '7', queue: 0 };
const SEND: Command = {
  type: 'produce',
  queueId: 1,
  count: 2,
  durability: 1,
  producer: { producerId: 'p', producerEpoch: 1, sequence: 0 },
};

function entry(index: number, command: Command): Entry {
  const body = bodyOf(command, { tag: `a${index}`, batch: `b${index}` });
  return { index, term: 1, type: EntryType.command, timeMs: 1000 + index, ...body };
}

function machine() {
  const seen: Applied[] = [];
  const made = new SimMachine({ onApply: (_, applied) => seen.push(applied), onPass: () => {} });
  return { made, seen };
}

describe('the simulated machine', () => {
  it('a crash sets it back to what was persisted, and it goes on to the same state', () => {
    const { made, seen } = machine();
    made.apply(0, entry(1, OPEN));
    made.apply(0, entry(2, SEND));
    made.persist(0, 1);
    made.crash();
    expect(made.appliedIndex(0)).toBe(1);
    expect(made.data(0).queue(1)?.endOffset).toBe(0);
    made.apply(0, entry(2, SEND));
    expect(seen[2]?.stateHash).toBe(seen[1]?.stateHash);
    expect(made.data(0).queue(1)?.endOffset).toBe(2);
  });

  it('nothing is persisted beyond what is durable, nor beyond what was applied', () => {
    const { made } = machine();
    made.apply(0, entry(1, OPEN));
    made.persist(0, 0);
    expect(made.persistedIndex(0)).toBe(0);
    made.persist(0, 9);
    expect(made.persistedIndex(0)).toBe(1);
  });

  it('a snapshot brings the dedup window along', () => {
    const { made } = machine();
    made.apply(0, entry(1, OPEN));
    made.apply(0, entry(2, SEND));
    const { made: other } = machine();
    other.stage(0, made.image(0));
    other.restore(0, { index: 2, term: 1 });
    expect(other.apply(0, entry(3, SEND))).toMatchObject({ duplicate: true, baseOffset: 0 });
    expect(() => other.restore(0, { index: 2, term: 1 })).toThrow('restore-forward');
  });

  it('different rows, different hash; the order of rows does not matter', () => {
    const { made, seen } = machine();
    const other = { ...OPEN, queueId: 2, queue: 1 };
    made.apply(0, entry(1, OPEN));
    made.apply(0, entry(2, other));
    made.apply(1, entry(1, other));
    made.apply(1, entry(2, OPEN));
    expect(seen[1]?.stateHash).toBe(seen[3]?.stateHash);
    expect(seen[0]?.stateHash).not.toBe(seen[2]?.stateHash);
  });
});
