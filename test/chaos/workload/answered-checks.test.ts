import { expect, it } from 'vitest';
import type { HistoryEvent } from '../../../chaos/history.ts';
import { answerChecks } from '../../../chaos/workload/answered-checks.ts';
import type { OpenTransaction } from '../../../chaos/workload/methods.ts';
import { loadOnAll } from './fake-node.ts';

const COUNT = 40;
const TIMEOUT_MS = 400;
const LONG_MS = 20_000;
const PART = { topic: 'chaos', queue: 0, messages: [] };
const ids = Array.from({ length: COUNT }, (_, i) => `t${i}`);

function listed(id: string, state: OpenTransaction['state']): OpenTransaction {
  const names = { transaction_id: `hf.${id}`, caller_transaction_id: id, producer_group: 'g' };
  return { ...names, state, parts: [PART] };
}

/** A cluster of open transactions that asks about all that are undecided. */
function clusterOf(states: Map<string, OpenTransaction['state']>) {
  const undecided = () => [...states].filter(([, state]) => state === 'UNDECIDED');
  return {
    'Transactions.List': () => ({
      transactions: [...states].map(([id, state]) => listed(id, state)),
      next_page_token: '',
    }),
    'Transactions.PollChecks': () => ({
      checks: undecided().map(([id]) => {
        return { caller_transaction_id: id, check_count: 1, parts: [PART] };
      }),
    }),
    'Transactions.End': ({ transaction_id: id, decision }: Ended) => {
      states.delete(id);
      return { state: decision === 'COMMIT' ? 'COMMITTED' : 'ROLLED_BACK', parts: [] };
    },
  } as const;
}

interface Ended {
  readonly transaction_id: string;
  readonly decision: string;
}

const ended = (recorded: readonly HistoryEvent[]) =>
  recorded.flatMap((event) => (event.type === 'end' ? [event.transaction] : []));

it('every check is answered, until nothing is undecided', async () => {
  const states = new Map(ids.map((id) => [id, 'UNDECIDED'] as const));
  const { load, recorded } = await loadOnAll(clusterOf(states));
  load.stop();
  expect(await answerChecks(load, ['g'], LONG_MS)).toBe(true);
  expect(ended(recorded)).toEqual(ids);
  expect(recorded.filter(({ type }) => type === 'check')).toHaveLength(COUNT);
});

it('what is parked waits for an operator, not for us', async () => {
  const { load, recorded } = await loadOnAll(clusterOf(new Map([['t', 'PARKED']])));
  load.stop();
  expect(await answerChecks(load, ['g'], LONG_MS)).toBe(true);
  expect(recorded).toEqual([]);
});

it('it goes on for a time, not for ever', async () => {
  const { load } = await loadOnAll(clusterOf(new Map([['t', 'PREPARING']])));
  load.stop();
  expect(await answerChecks(load, ['g', 'h'], TIMEOUT_MS)).toBe(true);
});

it.each(['Transactions.List', 'Transactions.PollChecks'] as const)(
  'nobody knows where %s is refused',
  async (method) => {
    const says = {
      ...clusterOf(new Map([['t', 'PREPARING']])),
      [method]: () => 'PERMISSION_DENIED',
    };
    const { load } = await loadOnAll(says);
    load.stop();
    expect(await answerChecks(load, ['g'], TIMEOUT_MS)).toBe(false);
  },
);
