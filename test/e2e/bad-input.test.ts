/**
 * What clients do wrong, against three real processes and with stubs that nobody tuned: each
 * mistake has its own clear error, and costs no acknowledged message.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ClusterProcess } from './cluster-process.ts';
import { type Ack, eventually, messagesOf, numberOf, refused, Stubs } from './stubs.ts';

const TOPIC = 'orders';
const MAX_MESSAGE_BYTES = 4_000_000;
/** Field tag and length of a body of some megabytes. */
const BODY_HEAD_BYTES = 5;
const OVER_2_53 = '9007199254740993';
const COMMIT = 1;
const ROLLBACK = 2;

const directory = mkdtempSync(join(tmpdir(), 'holdfast-bad-input-'));
let cluster: ClusterProcess;
let stubs: Stubs;
/** What was acknowledged, by queue: read back at the end. */
const kept: { queue: number; offset: number; body: string }[] = [];

beforeAll(async () => {
  cluster = await ClusterProcess.start(directory, 3, {
    HOLDFAST_RETENTION_CHECK_INTERVAL_MS: '100',
  });
  stubs = new Stubs(cluster.servers[0]!);
  await stubs.createTopic(TOPIC);
});

afterAll(async () => {
  stubs?.close();
  await cluster?.stop();
  rmSync(directory, { recursive: true, force: true });
});

async function keep(queue: number, ...bodies: string[]): Promise<number> {
  const ack = await stubs.produce(TOPIC, queue, ...bodies);
  const base = ack.baseOffset!.toNumber();
  kept.push(...bodies.map((body, at) => ({ queue, offset: base + at, body })));
  return base;
}

const messages = [{ body: Buffer.from('x') }];
const produce = (fields: object): Promise<Ack> =>
  stubs.call('Log', 'Produce', { topic: TOPIC, ...fields });

describe('messages', () => {
  it('of exactly the limit pass, one byte more is refused', async () => {
    const largest = Buffer.alloc(MAX_MESSAGE_BYTES - BODY_HEAD_BYTES, 'm');
    const ack = await stubs.produce(TOPIC, 0, largest);
    const offset = ack.baseOffset!.toNumber();
    const answer = await stubs.fetch(TOPIC, 0, offset);
    expect(answer.batches?.[0]?.messages[0]?.body?.equals(largest)).toBe(true);
    const { code, reason, text } = await refused(
      stubs.produce(TOPIC, 0, Buffer.concat([largest, Buffer.from('m')])),
    );
    expect({ code, reason }).toEqual({
      code: status.INVALID_ARGUMENT,
      reason: 'MESSAGE_TOO_LARGE',
    });
    expect(text).toContain('4000001');
    expect(text).toContain('4000000');
    expect((await stubs.range(TOPIC, 0)).end).toBe(offset + 1);
  });

  it('of four megabytes each do not make an answer that a stub refuses', async () => {
    const large = Buffer.alloc(1_500_000, 'l');
    const ack = await stubs.produce(TOPIC, 0, large, large, large);
    const offset = ack.baseOffset!.toNumber();
    const answer = await stubs.fetch(TOPIC, 0, offset, { maxBytes: 16 * 1024 * 1024 }).then(
      () => 'passed',
      (error: { code: number; details: string }) => error,
    );
    // More than 4 MiB was asked for, and this stub does not take it: its own error, not ours.
    expect(answer).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    const fits = await stubs.fetch(TOPIC, 0, offset, { maxBytes: 4 * 1024 * 1024 });
    expect(numberOf(fits.nextOffset)).toBe(offset + 2);
  });

  it('may have a body of no bytes, but a batch needs a message', async () => {
    await keep(1, '', 'after the empty one');
    const { code, reason } = await refused(produce({ queue: 1 }));
    expect({ code, reason }).toEqual({ code: status.INVALID_ARGUMENT, reason: 'EMPTY_BATCH' });
  });

  it('are fetched one by one when max_bytes is below one', async () => {
    const base = await keep(1, 'a'.repeat(5000), 'b'.repeat(5000), 'c');
    const bodies: string[] = [];
    let at = base;
    while (bodies.length < 3) {
      const answer = await stubs.fetch(TOPIC, 1, at, { maxBytes: 1 });
      bodies.push(...messagesOf(answer).map(({ body }) => body[0]!));
      expect(numberOf(answer.nextOffset)).toBe(at + 1);
      at += 1;
    }
    expect(bodies).toEqual(['a', 'b', 'c']);
  });
});

describe('places that are not there', () => {
  const offsets = [{ queue: 0, offset: 0 }];
  const everyCall: readonly [name: string, call: (where: object) => Promise<unknown>][] = [
    ['Produce', (where) => stubs.call('Log', 'Produce', { messages, ...where })],
    ['Fetch', (where) => stubs.call('Log', 'Fetch', where)],
    ['Prepare', (where) => prepare({ parts: [{ messages, ...where }] })],
  ];
  const topicCalls: typeof everyCall = [
    ...everyCall,
    ['ListOffsets', (where) => stubs.call('Log', 'ListOffsets', where)],
    [
      'CommitOffset',
      (where) => stubs.call('Log', 'CommitOffset', { group: 'g', offsets, ...where }),
    ],
    ['GetOffset', (where) => stubs.call('Log', 'GetOffset', { group: 'g', ...where })],
    [
      'DescribeTopic',
      (where) => stubs.call('Admin', 'DescribeTopic', { name: 'nowhere', ...where }),
    ],
    ['DeleteTopic', (where) => stubs.call('Admin', 'DeleteTopic', { name: 'nowhere', ...where })],
  ];

  it.each(topicCalls)('%s names an unknown topic', async (_, call) => {
    const { code, reason, text } = await refused(call({ topic: 'nowhere' }));
    expect({ code, reason }).toEqual({ code: status.NOT_FOUND, reason: 'TOPIC_NOT_FOUND' });
    expect(text).toContain('holdfast topic create nowhere');
  });

  it.each(everyCall)('%s names an unknown queue', async (_, call) => {
    const { code, reason, text } = await refused(call({ topic: TOPIC, queue: 3 }));
    expect({ code, reason }).toEqual({ code: status.NOT_FOUND, reason: 'QUEUE_NOT_FOUND' });
    expect(text).toMatch(/0 to 2/);
  });

  it('an offset past the end: which, and the valid range', async () => {
    await keep(2, 'one', 'two');
    const { start, end } = await stubs.range(TOPIC, 2);
    expect((await stubs.fetch(TOPIC, 2, end)).batches ?? []).toHaveLength(0);
    const { code, reason, text, trailer } = await refused(stubs.fetch(TOPIC, 2, end + 1));
    expect({ code, reason }).toEqual({ code: status.OUT_OF_RANGE, reason: 'OFFSET_OUT_OF_RANGE' });
    expect(text).toContain('past the end');
    expect([trailer('start-offset'), trailer('end-offset')]).toEqual([`${start}`, `${end}`]);
  });

  it('an offset below the start, once retention has moved it', async () => {
    await stubs.createTopic('short', 1, { retentionBytes: 20_000 });
    for (let at = 0; at < 40; at++) await stubs.produce('short', 0, `${at}`.padEnd(2000));
    const { start, end } = await eventually(
      () => stubs.range('short', 0),
      (range) => (range.end - range.start) * 2000 <= 20_000,
    );
    expect(end).toBe(40);
    const { code, reason, text, trailer } = await refused(stubs.fetch('short', 0, 0));
    expect({ code, reason }).toEqual({ code: status.OUT_OF_RANGE, reason: 'OFFSET_OUT_OF_RANGE' });
    expect(text).toContain('below the oldest');
    expect(Number(trailer('start-offset'))).toBeGreaterThanOrEqual(start);
    expect(trailer('end-offset')).toBe('40');
    const oldest = Number(trailer('start-offset'));
    const left = await stubs.readAll('short', 0, oldest);
    expect(left.map(({ body }) => Number(body))).toEqual(left.map(({ offset }) => offset));
    expect(left.at(-1)?.offset).toBe(39);
  });
});

describe('numbers', () => {
  const wrong: readonly [what: string, call: () => Promise<unknown>, field: string][] = [
    ['a negative queue', () => produce({ queue: -1, messages }), 'queue'],
    ['a negative sequence', () => idempotent({ sequence: -1 }), 'sequence'],
    ['a sequence over 2^53', () => idempotent({ sequence: OVER_2_53 }), 'sequence'],
    ['a negative offset', () => stubs.fetch(TOPIC, 0, -1), 'offset'],
    ['an offset over 2^53', () => fetchAt({ offset: OVER_2_53 }), 'offset'],
    ['a negative max_bytes', () => stubs.fetch(TOPIC, 0, 0, { maxBytes: -5 }), 'max_bytes'],
    ['a huge max_bytes', () => stubs.fetch(TOPIC, 0, 0, { maxBytes: 2 ** 30 }), 'max_bytes'],
    ['a negative max_wait_ms', () => stubs.fetch(TOPIC, 0, 0, { maxWaitMs: -1 }), 'max_wait_ms'],
    ['a negative commit', () => commit('g', 0, -1), 'offset'],
    ['a commit over 2^53', () => commit('g', 0, OVER_2_53), 'offset'],
    ['a negative queue_count', () => stubs.createTopic('bad', -1), 'queue_count'],
    ['too many queues', () => stubs.createTopic('bad', 1025), 'queue_count'],
    [
      'a negative retention',
      () => stubs.createTopic('bad', 1, { retentionMs: -1 }),
      'retention_ms',
    ],
    [
      'a negative page_size',
      () => stubs.call('Admin', 'ListTopics', { pageSize: -1 }),
      'page_size',
    ],
    ['a negative max_checks', () => poll({ maxChecks: -1 }), 'max_checks'],
  ];

  it.each(wrong)('%s is refused, naming the field', async (_, call, field) => {
    const { code, reason, text } = await refused(call());
    expect({ code, reason }).toEqual({
      code: status.INVALID_ARGUMENT,
      reason: 'NUMBER_OUT_OF_RANGE',
    });
    expect(text).toContain(field);
  });

  function idempotent(fields: object) {
    return produce({ queue: 0, messages, producerId: 'p', ...fields });
  }
  const fetchAt = (fields: object) => stubs.call('Log', 'Fetch', { topic: TOPIC, ...fields });
  const poll = (fields: object) =>
    stubs.call('Transactions', 'PollChecks', { producerGroup: 'shop', ...fields });
});

describe('names', () => {
  const wrong = ['', 'a/b', '..', '.', 'a\u0000b', 'line\n', 'ü', 'a b', 'n'.repeat(128)];
  it.each(wrong.map((name) => [JSON.stringify(name).slice(0, 20), name]))(
    '%s is no topic',
    async (_, name) => {
      const { code, reason } = await refused(stubs.createTopic(name));
      expect({ code, reason }).toEqual({ code: status.INVALID_ARGUMENT, reason: 'INVALID_NAME' });
    },
  );

  it('of 127 letters pass', async () => {
    const name = 'n'.repeat(127);
    await stubs.createTopic(name, 1);
    await stubs.produce(name, 0, 'x');
    await stubs.call('Admin', 'DeleteTopic', { name });
  });

  it('no group and no producer id either', async () => {
    expect((await refused(commit('a/b', 0, 0))).reason).toBe('INVALID_NAME');
    const producerId = 'p'.repeat(65);
    const long = produce({ queue: 0, messages, producerId });
    expect((await refused(long)).reason).toBe('INVALID_NAME');
  });

  it('a topic twice', async () => {
    const { code, reason } = await refused(stubs.createTopic(TOPIC));
    expect({ code, reason }).toEqual({ code: status.ALREADY_EXISTS, reason: 'TOPIC_EXISTS' });
  });
});

describe('committed offsets', () => {
  it('of an unknown group', async () => {
    const fields = { group: 'nobody', topic: TOPIC };
    const got = await refused(stubs.call('Log', 'GetOffset', fields));
    expect(got).toMatchObject({ code: status.NOT_FOUND, reason: 'GROUP_NOT_FOUND' });
    const reset = stubs.call('Log', 'ResetOffsets', { ...fields, from: 1 });
    expect(await refused(reset)).toMatchObject({ reason: 'GROUP_NOT_FOUND' });
  });

  it('do not fall, and do not pass the end', async () => {
    const base = await keep(2, 'first', 'second');
    await commit('billing', 2, base + 2);
    const falling = await refused(commit('billing', 2, base + 1));
    expect(falling).toMatchObject({ code: status.FAILED_PRECONDITION, reason: 'OFFSET_FALLS' });
    expect(falling.trailer('current-offset')).toBe(`${base + 2}`);
    const { end } = await stubs.range(TOPIC, 2);
    const past = await refused(commit('billing', 2, end + 1));
    expect(past).toMatchObject({ code: status.OUT_OF_RANGE, reason: 'OFFSET_PAST_END' });
    const got = await stubs.call<{ queues: { offset: { toNumber(): number } }[] }>(
      'Log',
      'GetOffset',
      { group: 'billing', topic: TOPIC, queues: [2] },
    );
    expect(got.queues[0]!.offset.toNumber()).toBe(base + 2);
  });
});

describe('half messages', () => {
  it('End of a transaction that is unknown', async () => {
    const ids = ['hf.1.1.999999', 'hf.3.77.5', 'hf.99.1.1'];
    for (const id of ids) {
      const { code, reason } = await refused(end({ transactionId: id, decision: COMMIT }));
      expect({ code, reason }).toEqual({ code: status.NOT_FOUND, reason: 'TRANSACTION_NOT_FOUND' });
    }
    const own = end({ transactionId: 'mine', decision: COMMIT, topic: TOPIC, queue: 0 });
    expect(await refused(own)).toMatchObject({ reason: 'TRANSACTION_NOT_FOUND' });
  });

  it('End of a foreign one changes nothing', async () => {
    const { transactionId } = await prepareOne('not yours');
    const foreign = end({ producerGroup: 'thief', transactionId, decision: ROLLBACK });
    const { code, reason } = await refused(foreign);
    expect({ code, reason }).toEqual({
      code: status.FAILED_PRECONDITION,
      reason: 'TRANSACTION_FOREIGN',
    });
    const answer = await end<Ended>({ transactionId, decision: COMMIT });
    keepPart(answer, 'not yours');
  });

  it.each([
    ['COMMIT', COMMIT, ROLLBACK, 'COMMITTED'],
    ['ROLLBACK', ROLLBACK, COMMIT, 'ROLLED_BACK'],
  ] as const)('the opposite End after a %s', async (_, decision, opposite, state) => {
    const { transactionId } = await prepareOne(`ends ${state}`);
    const first = await end<Ended>({ transactionId, decision });
    if (decision === COMMIT) keepPart(first, `ends ${state}`);
    expect(await end({ transactionId, decision })).toEqual(first);
    const { code, reason, trailer, text } = await refused(
      end({ transactionId, decision: opposite }),
    );
    expect({ code, reason }).toEqual({
      code: status.FAILED_PRECONDITION,
      reason: 'TRANSACTION_ENDED',
    });
    expect(trailer('transaction-state')).toBe(state);
    expect(text).toContain(state);
  });

  it('twice over one queue, and without a decision, group or id', async () => {
    const part = { topic: TOPIC, queue: 0, messages };
    const two = await refused(prepare({ parts: [part, part] }));
    expect(two).toMatchObject({ code: status.INVALID_ARGUMENT, reason: 'INVALID_REQUEST' });
    for (const call of [
      prepare({}),
      prepare({ producerGroup: '', parts: [part] }),
      end({ transactionId: 'hf.1.1.1' }),
      end({ decision: COMMIT }),
    ]) {
      expect(await refused(call)).toMatchObject({
        code: status.INVALID_ARGUMENT,
        reason: 'INVALID_REQUEST',
      });
    }
  });

  interface Ended {
    readonly parts: { queue?: number; baseOffset?: { toNumber(): number }; count: number }[];
  }

  function keepPart({ parts }: Ended, body: string): void {
    kept.push({ queue: 1, offset: parts[0]!.baseOffset!.toNumber(), body });
  }

  function prepareOne(body: string): Promise<{ transactionId: string }> {
    const part = { topic: TOPIC, queue: 1, messages: [{ body: Buffer.from(body) }] };
    return prepare({ parts: [part] });
  }
});

describe('sequences', () => {
  const send = (producerId: string, sequence: number, count = 1): Promise<Ack> =>
    produce({ queue: 0, producerId, sequence, messages: Array(count).fill(messages[0]) });

  it('with a gap, and the number that is expected', async () => {
    await send('gap', 0, 2);
    const { code, reason, trailer, text } = await refused(send('gap', 3));
    expect({ code, reason }).toEqual({ code: status.FAILED_PRECONDITION, reason: 'SEQUENCE_GAP' });
    expect(trailer('expected-sequence')).toBe('2');
    expect(text).toContain('3');
  });

  it('repeated give the first answer, long ago they are refused', async () => {
    const first = await send('old', 0);
    // `replicas` tells how many had it when each answer left.
    const { replicas, ...same } = first;
    expect(replicas).toBeGreaterThan(1);
    expect(await send('old', 0)).toMatchObject({ ...same, duplicate: true });
    for (let sequence = 1; sequence < 80; sequence++) await send('old', sequence);
    const { end: before } = await stubs.range(TOPIC, 0);
    const { code, reason } = await refused(send('old', 0));
    expect({ code, reason }).toEqual({
      code: status.FAILED_PRECONDITION,
      reason: 'SEQUENCE_TOO_OLD',
    });
    expect(await refused(send('old', 79, 2))).toMatchObject({ reason: 'SEQUENCE_MISMATCH' });
    expect((await stubs.range(TOPIC, 0)).end).toBe(before);
  });

  it('without a queue', async () => {
    const { reason } = await refused(produce({ producerId: 'p', sequence: 0, messages }));
    expect(reason).toBe('QUEUE_REQUIRED');
  });
});

describe('a deadline of one millisecond', () => {
  it('is never a wrong answer: what is told unknown is whole or not there', async () => {
    await stubs.createTopic('hasty', 1);
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, (_, at) => hasty(`${at}`, at % 4 === 0 ? 10_000 : 1 + (at % 40))),
    );
    const read = await stubs.readAll('hasty', 0);
    const found = new Set(read.map(({ body }) => body));
    expect(found.size).toBe(read.length);
    for (const { body, offset, outcomeUnknown } of outcomes) {
      if (offset !== undefined) expect(read[offset]).toEqual({ offset, body });
      else if (outcomeUnknown === 'false') expect(found.has(body)).toBe(false);
    }
    const acked = outcomes.filter(({ offset }) => offset !== undefined).length;
    expect(acked).toBeGreaterThan(0);
    expect(acked).toBeLessThan(outcomes.length);
  });

  async function hasty(body: string, timeoutMs: number) {
    const request = { topic: 'hasty', queue: 0, messages: [{ body: Buffer.from(body) }] };
    return stubs
      .call<{ baseOffset: { toNumber(): number } }>('Log', 'Produce', request, timeoutMs)
      .then(
        (ack) => ({ body, offset: ack.baseOffset.toNumber(), outcomeUnknown: '' }),
        (error) => {
          expect(error.code).toBe(status.DEADLINE_EXCEEDED);
          const unknown = error.metadata.get('holdfast-outcome-unknown')[0];
          return { body, offset: undefined, outcomeUnknown: unknown };
        },
      );
  }
});

describe('after all that', () => {
  it('what was acknowledged is where its acknowledgement said', async () => {
    expect(kept.length).toBeGreaterThan(8);
    for (const queue of [1, 2]) {
      const read = await stubs.readAll(TOPIC, queue);
      expect(read.map(({ offset }) => offset)).toEqual(read.map((_, at) => at));
      for (const { offset, body } of kept.filter((one) => one.queue === queue)) {
        expect(read[offset]).toEqual({ offset, body });
      }
    }
  });

  it('no node has died', async () => {
    const { nodes } = await cluster.status();
    expect(nodes.map(({ up }) => up)).toEqual([true, true, true]);
  });
});

function commit(group: string, queue: number, offset: number | string): Promise<unknown> {
  return stubs.call('Log', 'CommitOffset', { group, topic: TOPIC, offsets: [{ queue, offset }] });
}

function prepare<Answer>(fields: object): Promise<Answer> {
  return stubs.call('Transactions', 'Prepare', { producerGroup: 'shop', ...fields });
}

function end<Answer>(fields: object): Promise<Answer> {
  return stubs.call('Transactions', 'End', { producerGroup: 'shop', ...fields });
}
