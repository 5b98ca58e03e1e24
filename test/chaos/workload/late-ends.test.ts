import { expect, it } from 'vitest';
import { LateEnds } from '../../../chaos/workload/late-ends.ts';
import { loadOn } from './fake-node.ts';

const ENDS = 1600;

it('some time after an end another one comes, of either decision', async () => {
  const { load, recorded } = await loadOn('Transactions.End', ({ decision }) =>
    decision === 'COMMIT' ? { state: 'COMMITTED', parts: [] } : 'TRANSACTION_ENDED',
  );
  const late = new LateEnds(load, 'p', 0);
  for (let i = 0; i < ENDS; i++) await late.after({ id: `t${i}`, queue: 0, group: 'p' });
  late.close();
  const ends = recorded.filter((event) => event.type === 'end');
  expect(ends).toHaveLength(recorded.length);
  expect(ends.length).toBeGreaterThan(ENDS / 32);
  expect(ends.length).toBeLessThan(ENDS / 8);
  expect(new Set(ends.map(({ decision }) => decision)).size).toBe(2);
  expect(new Set(ends.map(({ transaction }) => transaction)).size).toBeGreaterThan(10);
});
