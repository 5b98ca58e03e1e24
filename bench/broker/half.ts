/** Prepare and commit of single half messages, beside plain single produces in the same rounds. */
import { bytesField, fieldsOf, numberField, textField } from '../ceiling/wire.ts';
import { median } from '../percentiles.ts';
import { produceRequest, RawClient } from '../raw-calls.ts';
import { closedLoop } from '../workload.ts';
import { type Part, type Row, rounded } from './row.ts';

const AT_ONCE = 64;
const BODY_BYTES = 200;
const RATIO_MIN = 0.45;
const GROUP = 'bench';
const COMMIT = 1;
const MOVED = { messages: 1, bytes: BODY_BYTES };

export const half: Part = async ({ client, servers, seconds, rounds }) => {
  const topic = 'bench-half';
  await client.admin.createTopic({ name: topic, queueCount: 1 });
  const { queues } = await client.admin.describeTopic(topic);
  const raw = new RawClient(servers[(queues[0]?.leader ?? 1) - 1]!);
  try {
    return await measured(raw, topic, seconds, rounds);
  } finally {
    raw.close();
  }
};

async function measured(raw: RawClient, topic: string, seconds: number, rounds: number) {
  const produce = produceRequest(topic, 'MAJORITY_FSYNC', 1, BODY_BYTES);
  const part = bytesField(3, Buffer.concat([textField(1, topic), queueAndMessage()]));
  const prepare = Buffer.concat([textField(1, GROUP), part]);
  const plainRound = async (): Promise<number> => {
    const run = await closedLoop(AT_ONCE, seconds, async () => {
      await raw.call('Produce', produce);
      return MOVED;
    });
    return run.messages / run.seconds;
  };
  const halfRound = async (): Promise<number> => {
    const run = await closedLoop(AT_ONCE, seconds, async () => {
      const answer = await raw.call('Transactions/Prepare', prepare);
      await raw.call('Transactions/End', endRequest(transactionIdIn(answer)));
      return MOVED;
    });
    return run.messages / run.seconds;
  };
  await plainRound();
  await halfRound();
  const pairs: { plain: number; half: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    pairs.push({ plain: await plainRound(), half: await halfRound() });
  }
  return rowOf(pairs);
}

function rowOf(pairs: readonly { plain: number; half: number }[]): Row {
  const ratio = median(pairs.map((pair) => pair.half / pair.plain));
  return {
    workload: `half: prepare + commit, ${BODY_BYTES} B, ${AT_ONCE} at once`,
    durability: 'MAJORITY_FSYNC',
    figures: {
      transactions_per_s: rounded(median(pairs.map((pair) => pair.half))),
      plain_produces_per_s: rounded(median(pairs.map(({ plain }) => plain))),
      ratio: rounded(ratio),
    },
    goal: `at least ${RATIO_MIN} of plain single produces`,
    met: ratio >= RATIO_MIN,
  };
}

function queueAndMessage(): Buffer {
  const message = bytesField(1000, bytesField(4, Buffer.alloc(BODY_BYTES, 'x')));
  return Buffer.concat([Buffer.from(numberField(2, 0)), message]);
}

function transactionIdIn(prepared: Buffer): string {
  for (const { number, bytes } of fieldsOf(prepared)) {
    if (number === 1) return Buffer.from(bytes).toString();
  }
  throw new Error('Prepare answered no transaction_id');
}

function endRequest(id: string): Buffer {
  const decision = Buffer.from(numberField(3, COMMIT));
  return Buffer.concat([textField(1, GROUP), textField(2, id), decision]);
}
