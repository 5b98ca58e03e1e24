import { expect, it } from 'vitest';
import type { ProduceAck, ProduceRequest } from '../../../chaos/workload/methods.ts';
import type { Write } from '../../../chaos/workload/produce.ts';
import { Repeats } from '../../../chaos/workload/repeats.ts';
import { loadOn } from './fake-node.ts';

const writes = Array.from(
  { length: 100 },
  (_, sequence): Write => ({
    ...{ queue: 0, values: [`a.${sequence}`] },
    producer: { id: 'a', epoch: 2, sequence },
  }),
);
const SENDS = 5000;

async function repeating(answer: object | string, level?: string) {
  const requests: ProduceRequest[] = [];
  const say = (request: ProduceRequest) => {
    requests.push(request);
    return answer as ProduceAck;
  };
  const { load, recorded } = await loadOn('Log.Produce', say, level);
  const repeats = new Repeats(load, 'a', 0);
  repeats.acknowledged(writes);
  const goesOn = await repeats.after(SENDS);
  repeats.close();
  return { goesOn, requests, recorded };
}

const first = { base_offset: 7, count: 1, duplicate: true };

it('one send in fifty is one of the last acknowledged ones again, as it was', async () => {
  const { goesOn, requests, recorded } = await repeating(first);
  expect(goesOn).toBe(true);
  expect(requests.length).toBeGreaterThan(SENDS / 100);
  expect(requests.length).toBeLessThan(SENDS / 25);
  for (const { sequence = 0, producer_id, producer_epoch, messages } of requests) {
    expect({ producer_id, producer_epoch }).toEqual({ producer_id: 'a', producer_epoch: 2 });
    expect(messages[0]?.key).toBe(`a.${sequence}`);
    expect(sequence).toBeGreaterThanOrEqual(68);
  }
  expect(recorded[0]).toMatchObject({ type: 'produce', baseOffset: 7, duplicate: true });
});

it('below the level at which acks last nothing comes again', async () => {
  expect((await repeating(first, 'leader')).requests).toEqual([]);
});

it('a repetition that is refused is trouble', async () => {
  const { goesOn, recorded } = await repeating('SEQUENCE_GAP');
  expect(goesOn).toBe(false);
  expect(recorded).toMatchObject([{ outcome: 'fail' }, { type: 'trouble' }]);
});
