import { expect, it } from 'vitest';
import { LateRequests } from '../../../chaos/workload/late-requests.ts';
import type { ProduceAck } from '../../../chaos/workload/methods.ts';
import type { Write } from '../../../chaos/workload/produce.ts';
import { loadOn } from './fake-node.ts';

const write: Write = { queue: 0, values: ['a.5'], producer: { id: 'a', epoch: 0, sequence: 5 } };

async function late(answer: object | string, level?: string) {
  const say = () => answer as ProduceAck;
  const { load, recorded } = await loadOn('Log.Produce', say, level);
  const requests = new LateRequests(load, 'a', 0);
  requests.keep(write);
  const isFine = await requests.send();
  const isFineAgain = await requests.send();
  requests.close();
  return { isFine, isFineAgain, recorded };
}

it('is sent once, and has to be refused', async () => {
  const { isFine, isFineAgain, recorded } = await late('PRODUCER_FENCED');
  expect([isFine, isFineAgain]).toEqual([true, true]);
  expect(recorded).toMatchObject([{ type: 'produce', outcome: 'fail', sequence: 5 }]);
});

it('is trouble when it is taken, or refused for another reason', async () => {
  const taken = await late({ base_offset: 9, count: 1, duplicate: false });
  expect(taken.isFine).toBe(false);
  expect(taken.recorded).toMatchObject([{ outcome: 'ok', baseOffset: 9 }, { type: 'trouble' }]);
  expect((await late('SEQUENCE_GAP')).isFine).toBe(false);
});

it('is not sent where the new epoch may be taken back', async () => {
  expect((await late('PRODUCER_FENCED', 'majority')).recorded).toEqual([]);
});
