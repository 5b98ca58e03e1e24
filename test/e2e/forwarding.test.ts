/** Any node takes any call, and the client need not know who leads, or that the leader changed. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClusterProcess } from './cluster-process.ts';
import { type Fetched, messagesOf, methodOf, refused, Stubs } from './stubs.ts';

const TOPIC = 'orders';
const QUEUES = 6;
const TIMEOUT_MS = 60_000;
const POLLS = 10_000;
/** Node cuts a connection that cancels a thousand calls at once: each round takes a new one. */
const POLLS_AT_ONCE = 500;
/** So low that the third round would be refused if the first two left their polls behind. */
const MAX_LONG_POLLS = 2 * POLLS_AT_ONCE + 100;
/** Hung up on while they wait. */
const GIVEN_UP_AT_ONCE = 50;

const directory = mkdtempSync(join(tmpdir(), 'holdfast-forwarding-'));
let cluster: ClusterProcess;
let stubs: readonly Stubs[];

beforeAll(async () => {
  cluster = await ClusterProcess.start(directory, 3, {
    HOLDFAST_LIMITS_MAX_LONG_POLLS: `${MAX_LONG_POLLS}`,
  });
  stubs = cluster.servers.map((server) => new Stubs(server));
  await stubs[0]!.createTopic(TOPIC, QUEUES);
});

afterAll(async () => {
  for (const one of stubs ?? []) one.close();
  await cluster?.stop();
  rmSync(directory, { recursive: true, force: true });
});

interface QueueLeader {
  readonly queue?: number;
  readonly leader: number;
}

/** A queue that `node` leads, or does not lead. */
async function queueLed(by: (leader: number) => boolean): Promise<QueueLeader> {
  const request = { name: TOPIC };
  const answer = await stubs[0]!.call<{ queues: QueueLeader[] }>('Admin', 'DescribeTopic', request);
  return answer.queues.find(({ leader }) => by(leader))!;
}

describe('any node', { timeout: TIMEOUT_MS }, () => {
  it('takes writes for every queue, and all see the same', async () => {
    const sent = Array.from({ length: QUEUES }, (_, queue) =>
      stubs.map(async (one, at) => {
        const ack = await one.produce(TOPIC, queue, `${queue} through ${at + 1}`);
        expect(ack).toMatchObject({ count: 1, durability: 1 });
        expect(ack.queue ?? 0).toBe(queue);
        return ack.firstMessageId;
      }),
    );
    const ids = await Promise.all(sent.flat());
    expect(new Set(ids).size).toBe(3 * QUEUES);
    for (let queue = 0; queue < QUEUES; queue++) {
      const views = await Promise.all(stubs.map((one) => one.readAll(TOPIC, queue)));
      expect(views[0]).toHaveLength(3);
      expect(views[1]).toEqual(views[0]);
      expect(views[2]).toEqual(views[0]);
    }
  });

  it('answers every question the same', async () => {
    const offsets = [{ queue: 1, offset: 2 }];
    await stubs[1]!.call('Log', 'CommitOffset', { group: 'billing', topic: TOPIC, offsets });
    const calls = [
      ['Log', 'ListOffsets', { topic: TOPIC }],
      ['Log', 'GetOffset', { group: 'billing', topic: TOPIC }],
      ['Admin', 'DescribeTopic', { name: TOPIC }],
      ['Admin', 'ListTopics', {}],
      ['Admin', 'DescribeLimits', {}],
    ] as const;
    for (const [service, name, request] of calls) {
      const answers = await Promise.all(stubs.map((one) => one.call(service, name, request)));
      expect(answers[1]).toEqual(answers[0]);
      expect(answers[2]).toEqual(answers[0]);
    }
  });

  it('refuses the same, with the same trailers', async () => {
    const calls = [
      (one: Stubs) => one.fetch(TOPIC, 1, 99),
      (one: Stubs) => one.fetch('nowhere', 1, 0),
      (one: Stubs) =>
        one.call('Log', 'Produce', {
          ...{ topic: TOPIC, queue: 1, producerId: 'p', sequence: 5, messages: [{}] },
        }),
    ];
    for (const call of calls) {
      const refusals = await Promise.all(stubs.map((one) => refused(call(one))));
      const facts = refusals.map(({ trailer, ...rest }) => ({
        ...rest,
        numbers: ['start-offset', 'end-offset', 'expected-sequence'].map(trailer),
      }));
      expect(facts[1]).toEqual(facts[0]);
      expect(facts[2]).toEqual(facts[0]);
    }
  });
});

describe('a long poll', { timeout: TIMEOUT_MS }, () => {
  it('wakes on a message through another node', async () => {
    const { queue = 0 } = await queueLed((leader) => leader !== 1);
    const { end } = await stubs[0]!.range(TOPIC, queue);
    const waiting = stubs[0]!.fetch(TOPIC, queue, end, { maxWaitMs: 20_000 });
    await stubs[2]!.produce(TOPIC, queue, 'wake up');
    expect(messagesOf(await waiting)).toEqual([{ offset: end, body: 'wake up' }]);
  });

  it('answers empty in time for the deadline of its caller, through any node', async () => {
    const { end } = await stubs[0]!.range(TOPIC, 0);
    const answers = await Promise.all(
      stubs.map((one) => {
        const request = { topic: TOPIC, queue: 0, offset: end, maxWaitMs: 30_000 };
        return one.call<Fetched>('Log', 'Fetch', request, 600);
      }),
    );
    for (const { batches, endOffset } of answers) {
      expect(batches ?? []).toHaveLength(0);
      expect(endOffset?.toNumber()).toBe(end);
    }
  });

  it('that is cancelled leaves nothing behind', async () => {
    const { queue = 0 } = await queueLed((leader) => leader !== 1);
    const { end } = await stubs[0]!.range(TOPIC, queue);
    for (let started = 0; started < POLLS; started += POLLS_AT_ONCE) {
      const client = new Stubs(cluster.servers[0]!, true);
      await cancelledPolls(client, queue, end, POLLS_AT_ONCE);
      client.close();
    }
    const waiting = stubs[0]!.fetch(TOPIC, queue, end, { maxWaitMs: 20_000 });
    await stubs[1]!.produce(TOPIC, queue, 'for the one that still waits');
    expect(messagesOf(await waiting)).toHaveLength(1);
  });

  it('nor does one whose client is gone', async () => {
    const { queue = 0 } = await queueLed((leader) => leader !== 2);
    const { end } = await stubs[1]!.range(TOPIC, queue);
    const gone = new Stubs(cluster.servers[1]!, true);
    const calls = Array.from({ length: GIVEN_UP_AT_ONCE }, () =>
      gone.fetch(TOPIC, queue, end, { maxWaitMs: 20_000 }).catch(() => undefined),
    );
    await gone.range(TOPIC, queue);
    gone.close();
    const ack = await stubs[1]!.produce(TOPIC, queue, 'nobody waits');
    expect(ack.baseOffset?.toNumber()).toBe(end);
    await Promise.all(calls);
  });

  it('survives a kill of the leader, unseen by its client', async () => {
    const { queue = 0, leader } = await queueLed((one) => one !== 1);
    const { end } = await stubs[0]!.range(TOPIC, queue);
    const waiting = stubs[0]!.fetch(TOPIC, queue, end, { maxWaitMs: 19_000 });
    // In order on one connection: when this is answered, the poll has arrived.
    await stubs[0]!.range(TOPIC, queue);
    const { nodes } = await cluster.status();
    process.kill(nodes.find(({ id }) => id === leader)!.pid, 'SIGKILL');
    await stubs[0]!.produceSafely(TOPIC, queue, 'through the new leader');
    expect(messagesOf(await waiting)).toEqual([{ offset: end, body: 'through the new leader' }]);
  });
});

/** Starts so many, and hangs up on all of them once they have arrived. */
async function cancelledPolls(
  one: Stubs,
  queue: number,
  offset: number,
  count: number,
): Promise<void> {
  const { path, requestSerialize, responseDeserialize } = methodOf('Log', 'Fetch');
  const request = { topic: TOPIC, queue, offset, maxWaitMs: 30_000 };
  const codes: Promise<number | undefined>[] = [];
  const calls = Array.from({ length: count }, () => {
    let settle: (code: number | undefined) => void = () => undefined;
    codes.push(new Promise((resolve) => (settle = resolve)));
    return one.client.makeUnaryRequest(
      ...([path, requestSerialize, responseDeserialize, request] as const),
      (error) => settle(error?.code),
    );
  });
  await one.range(TOPIC, queue);
  for (const call of calls) call.cancel();
  expect(new Set(await Promise.all(codes))).toEqual(new Set([status.CANCELLED]));
}
