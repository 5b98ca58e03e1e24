/** Check-backs over HTTP, against a real server. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_METERS, type WebhookOutcome } from '../../../src/service/meters.ts';
import { askWebhook, MAX_ANSWER_BYTES } from '../../../src/service/webhooks/ask.ts';
import { connect, message, type TestClient, until } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

interface Asked {
  readonly transaction_id: string;
  readonly caller_transaction_id: string;
  readonly producer_group: string;
  readonly check_count: number;
  readonly prepared_at_ms: number;
  readonly parts: readonly {
    readonly topic: string;
    readonly first_message_id: string;
    readonly messages: readonly { readonly body?: string; readonly body_base64?: string }[];
  }[];
}
type Answer = (asked: Asked, response: ServerResponse, request: IncomingMessage) => void;
interface Open {
  readonly state: number;
  readonly check_count: number;
}

const GROUP = 'shop';
const INTERVAL_MS = 30_000;
const TIMEOUT_MS = 5000;
const CALLS = 2;

let cluster: FakeCluster;
let client: TestClient;
let server: Server;
let answer: Answer;
let asked: Asked[];
let counted: WebhookOutcome[];

const decide =
  (outcome: string): Answer =>
  (_asked, response) =>
    response.end(JSON.stringify({ outcome }));

beforeEach(async () => {
  asked = [];
  counted = [];
  answer = decide('COMMIT');
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const found = JSON.parse(Buffer.concat(chunks).toString()) as Asked;
      asked.push(found);
      answer(found, response, request);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}/checks?secret=1`;
  cluster = new FakeCluster(3, 3);
  const webhookAnswered = (outcome: WebhookOutcome) => void counted.push(outcome);
  cluster.metersOf = () => ({ ...NO_METERS, webhookAnswered });
  await cluster.start({
    ...{ firstCheckAfterMs: 1, checkIntervalMs: INTERVAL_MS, maxChecksPerTransaction: 3 },
    ...{ maxWebhookCallsPerGroup: CALLS },
    webhooks: { [GROUP]: { url, timeoutMs: TIMEOUT_MS } },
  });
  cluster.createTopic('orders', 3);
  client = connect(cluster.node(1).port);
});
afterEach(async () => {
  client.close();
  await cluster.stop();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

async function prepare(fields: object = {}, group = GROUP): Promise<string> {
  const part = { topic: 'orders', queue: 0, messages: [message('half')], ...fields };
  const request = { producer_group: group, parts: [part] };
  const { transaction_id: id } = await client.call<{ transaction_id: string }>(
    'Transactions/Prepare',
    request,
  );
  return id;
}

/** Time passes, and something happens: a check is looked for when an entry is applied. */
async function pass(ms: number): Promise<void> {
  cluster.timeMs += ms;
  for (const queue of [0, 1, 2]) {
    await client.call('Log/Produce', { topic: 'orders', queue, messages: [message('other')] });
  }
}

const open = async () =>
  (await client.call<{ transactions: Open[] }>('Transactions/List', {})).transactions;
const visible = async (queue = 0) => {
  const request = { topic: 'orders', queue, offset: 0 };
  const { batches } = await client.call<{ batches: { messages: { body: Buffer }[] }[] }>(
    'Log/Fetch',
    request,
  );
  return batches.flatMap((batch) => batch.messages.map(({ body }) => body.toString()));
};

async function untilOpen(count: number): Promise<void> {
  for (let left = 200; left > 0; left -= 1) {
    if ((await open()).length === count) return;
  }
  throw new Error('never settled');
}

/** The count is told to the leader after the answer came. */
async function untilCounted(count: number): Promise<void> {
  for (let left = 200; left > 0; left -= 1) {
    const [first] = await open();
    if (first?.check_count === count) return;
  }
  throw new Error('never counted');
}

describe('an answer decides', () => {
  it('COMMIT: the message is seen; the question has all that is known', async () => {
    const id = await prepare({ messages: [message('half'), { body: Buffer.from([0xff]) }] });
    await pass(10);
    await untilOpen(0);
    expect(await visible()).toContain('half');
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({
      ...{ transaction_id: id, producer_group: GROUP, check_count: 1, caller_transaction_id: '' },
      parts: [{ topic: 'orders', queue: 0, count: 2, messages: [{ body: 'half' }, {}] }],
    });
    expect(asked[0]!.parts[0]!.first_message_id).toMatch(/^\d+-\d+-0$/);
    expect(asked[0]!.parts[0]!.messages[1]!.body_base64).toBe('/w==');
    expect(counted).toEqual(['COMMIT']);
  });

  it('ROLLBACK: nobody ever sees it', async () => {
    answer = decide('ROLLBACK');
    await prepare();
    await pass(10);
    await untilOpen(0);
    expect(await visible()).not.toContain('half');
  });

  it('UNKNOWN counts, and is asked again after the interval; the last one parks', async () => {
    answer = decide('UNKNOWN');
    await prepare();
    for (const round of [1, 2, 3]) {
      await pass(INTERVAL_MS + 10);
      await until(() => asked.length === round);
      await untilCounted(round);
    }
    expect(asked.map((one) => one.check_count)).toEqual([1, 2, 3]);
    await pass(1000);
    expect(asked).toHaveLength(3);
  });

  it('on whatever node leads: transactions of all shards', async () => {
    for (const queue of [0, 1, 2]) await prepare({ queue });
    await pass(10);
    await untilOpen(0);
    expect(asked).toHaveLength(3);
  });

  it('other groups are not asked', async () => {
    await prepare({}, 'other');
    await pass(10);
    await prepare();
    await pass(10);
    await untilOpen(1);
    expect(asked).toHaveLength(1);
  });
});

describe('no answer counts for nothing, and is asked for again', () => {
  it.each<[string, Answer]>([
    ['status 500', (_asked, response) => response.writeHead(500).end('{"outcome":"COMMIT"}')],
    [
      'a redirect, which is not followed',
      (_asked, response) => response.writeHead(307, { location: '/elsewhere' }).end(),
    ],
    ['a connection that ends', (_asked, _response, request) => request.socket.destroy()],
    ['silence', () => undefined],
    [
      'an answer that does not end',
      (_asked, response) => response.writeHead(200).write('{"outcome":"COMMIT"'),
    ],
  ])('%s', async (_name, mishap) => {
    answer = mishap;
    await prepare();
    await pass(10);
    await until(() => asked.length === 1);
    answer = decide('COMMIT');
    for (let left = 200; left > 0 && asked.length < 2; left -= 1) await pass(INTERVAL_MS);
    await untilOpen(0);
    expect(asked[1]!.check_count).toBe(1);
  });

  it.each<[string, Answer]>([
    ['silence', () => undefined],
    [
      'an answer that does not end',
      (_asked, response) => response.writeHead(200).write('{"outcome":"COMMIT"'),
    ],
  ])('the time for it is bounded: %s', async (_name, mishap) => {
    answer = mishap;
    const { port } = server.address() as AddressInfo;
    const { signal } = new AbortController();
    const question = { url: `http://127.0.0.1:${port}`, timeoutMs: 100, body: '{}', signal };
    const why = 'no answer within 100 ms';
    expect(await askWebhook(question)).toEqual({ type: 'failed', why });
  });

  it('and is counted', async () => {
    answer = (_asked, response) => response.writeHead(500).end('{"outcome":"COMMIT"}');
    await prepare();
    await pass(10);
    await until(() => counted.length === 1);
    expect(counted).toEqual(['FAILED']);
  });

  it('a server that is not there', async () => {
    const { port } = server.address() as AddressInfo;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await prepare();
    await pass(10);
    expect(await open()).toMatchObject([{ check_count: 0 }]);
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    for (let left = 50; left > 0 && asked.length === 0; left -= 1) await pass(INTERVAL_MS);
    await untilOpen(0);
  });
});

describe('an answer that says nothing counts as UNKNOWN', () => {
  it.each<[string, string]>([
    ['no JSON', 'ok'],
    ['nothing', ''],
    ['no outcome', '{"result":"COMMIT"}'],
    ['another word', '{"outcome":"commit"}'],
    ['a list', '["COMMIT"]'],
    ['a flood', ' '.repeat(MAX_ANSWER_BYTES + 1)],
  ])('%s', async (_name, text) => {
    answer = (_asked, response) => response.end(text);
    await prepare();
    await pass(10);
    await untilCounted(1);
  });
});

describe('bounds', () => {
  it('no more questions at once than there may be; the others wait', async () => {
    const held: ServerResponse[] = [];
    answer = (_asked, response) => void held.push(response);
    for (let left = 5; left > 0; left -= 1) await prepare();
    await pass(10);
    await until(() => held.length === CALLS);
    await pass(10);
    expect(held).toHaveLength(CALLS);
    answer = decide('COMMIT');
    for (const response of held) decide('COMMIT')(asked[0]!, response, undefined!);
    await until(() => asked.length === 5);
    await untilOpen(0);
  });

  it('decided meanwhile by the producer: the late opposite answer changes nothing', async () => {
    const held: ServerResponse[] = [];
    answer = (_asked, response) => void held.push(response);
    const id = await prepare();
    await pass(10);
    await until(() => held.length === 1);
    await client.call('Transactions/End', {
      producer_group: GROUP,
      transaction_id: id,
      decision: 2,
    });
    decide('COMMIT')(asked[0]!, held[0]!, undefined!);
    await pass(INTERVAL_MS);
    expect(await visible()).not.toContain('half');
    expect(await open()).toEqual([]);
  });

  it('a poll and the webhook never have the same check', async () => {
    const held: ServerResponse[] = [];
    answer = (_asked, response) => void held.push(response);
    await prepare();
    await pass(10);
    await until(() => held.length === 1);
    const poll = { producer_group: GROUP, max_wait_ms: 0 };
    const { checks } = await client.call<{ checks: object[] }>('Transactions/PollChecks', poll);
    expect(checks).toEqual([]);
  });
});
