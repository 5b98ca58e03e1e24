import { expect, it } from 'vitest';
import type { Load } from '../../../chaos/workload/load.ts';
import { recordProduce, type Write } from '../../../chaos/workload/produce.ts';

const ANSWER = { outcome: 'ok', invokedMs: 1, completedMs: 2 } as const;
const WRITE: Write = { queue: 0, values: ['a', 'b'] };
const OTHER_TOPIC: Write = { ...WRITE, topic: { name: 'other', id: 't1' } };

it.each([
  ['majority_fsync', WRITE, 2, true],
  ['majority', WRITE, 2, false],
  ['leader', WRITE, 2, false],
  ['leader', WRITE, 1, true],
  ['leader', OTHER_TOPIC, 2, true],
] as const)(
  'at %s an ack without an offset, %j, count %d: trouble %s',
  (level, write, count, isBad) => {
    const recorded: unknown[] = [];
    const troubles: string[] = [];
    const load = {
      level,
      record: (event: unknown) => recorded.push(event),
      trouble: (_: string, text: string) => troubles.push(text),
    } as unknown as Load;
    recordProduce(load, 'p', write, { ...ANSWER, value: { count } } as never);
    expect(recorded).toMatchObject([{ type: 'produce', outcome: 'ok', values: ['a', 'b'] }]);
    expect(troubles.length > 0).toBe(isBad);
  },
);
