/**
 * The hand-written protobuf codecs of the public API against damage. None has a checksum of its
 * own (a client's bytes come over TCP or TLS): damaged bytes are refused by name, or read as some
 * other value, and never surprise anybody with another kind of error.
 */
import { describe, expect, test } from 'vitest';
import { readFetchResponse, readSubscribeResponse } from '../../src/client/fetch-codec.ts';
import { readStreamAnswer } from '../../src/client/produce-codec.ts';
import { parseTransactionId } from '../../src/convert.ts';
import { decodeError, encodeError } from '../../src/service/error-codec.ts';
import { decodeMethod, encodeMethod } from '../../src/service/methods.ts';
import { decodeRequest, Proto } from '../../src/service/proto.ts';
import {
  peekQueue,
  readEndHead,
  readFetchHead,
  readPrepareHead,
  readProduceHead,
  readStreamFrame,
} from '../../src/service/request-head.ts';
import {
  encodeCheck,
  encodeChecks,
  readSubscribeFrame,
  splitChecks,
} from '../../src/service/responses.ts';
import { CallError } from '../../src/status.ts';
import { oneBitChangesOf, prefixesOf, readOrRefuse } from '../harness/damage.ts';

const LIMITS = { maxMessageBytes: 1000, maxMessagesPerRequest: 100 };
const proto = new Proto();
const PRODUCE = proto.method('/holdfast.v1.Log/Produce');
const message = { key: 'k', tag: 't', properties: { a: 'b' }, body: Buffer.from('xyz') };
const produce = {
  topic: 'orders',
  queue: 3,
  ordering_keys: ['k'],
  durability: 2,
  producer_id: 'p',
  sequence: 300,
  topic_id: '7',
  messages: [message, { ...message, born_at_ms: 1_700_000_000_000 }],
};
const ack = { first_message_id: '3-17-0', base_offset: 5, count: 4, log_index: 17 };
const batch = { base_offset: 3, count: 2, stored_at_ms: 9, first_message_id: '1-1-0' };
const answer = { next_offset: 5, start_offset: 1, end_offset: 300 };
const check = {
  transactionId: '1-2-3',
  callerId: 'c',
  checkCount: 1,
  preparedAtMs: 400,
  parts: [
    {
      ...{ topic: 't', queue: 2, firstMessageId: '1-2-0', count: 1 },
      messages: PRODUCE.requestSerialize({ messages: [message] }),
    },
  ],
};

function request(path: string, value: object): Buffer {
  return proto.method(path).requestSerialize(value);
}

function response(path: string, value: object): Buffer {
  return proto.method(path).responseSerialize(value);
}

type Case = readonly [string, Uint8Array, (bytes: Buffer) => unknown];

/** What a node reads of its clients and of other nodes: every refusal is a CallError. */
const server: Case[] = [
  ['Produce', PRODUCE.requestSerialize(produce), (bytes) => readProduceHead(bytes, LIMITS)],
  ['a refused Produce', PRODUCE.requestSerialize(produce), peekQueue],
  [
    'ProduceStream',
    request('/holdfast.v1.Log/ProduceStream', { request_id: 300, resume: true, request: produce }),
    readStreamFrame,
  ],
  [
    'Fetch',
    request('/holdfast.v1.Log/Fetch', { topic: 't', queue: 2, offset: 300, linearizable: true }),
    readFetchHead,
  ],
  [
    'Prepare',
    request('/holdfast.v1.Transactions/Prepare', { producer_group: 'g', transaction_id: 'i' }),
    readPrepareHead,
  ],
  [
    'End',
    request('/holdfast.v1.Transactions/End', {
      ...{ producer_group: 'g', transaction_id: 'i', decision: 1, topic: 't', queue: 2 },
      operator: true,
    }),
    readEndHead,
  ],
  [
    'Error',
    encodeError(new CallError('OFFSET_FALLS', 'falls', { metadata: { queue: '3' } })),
    decodeError,
  ],
  [
    'Subscribe, answered',
    response('/holdfast.v1.Log/Subscribe', { queue: 2, ...answer, batches: [batch] }),
    readSubscribeFrame,
  ],
  ['PollChecks, answered', encodeChecks([encodeCheck(check), encodeCheck(check)]), splitChecks],
];

/** What a client reads: every refusal is an Error whose text says so. */
const client: Case[] = [
  [
    'ProduceStream, acknowledged',
    response('/holdfast.v1.Log/ProduceStream', { request_id: 7, ack }),
    readStreamAnswer,
  ],
  [
    'ProduceStream, refused',
    response('/holdfast.v1.Log/ProduceStream', {
      request_id: 7,
      error: { code: 14, reason: 'R', message: 'm', metadata: { a: 'b' } },
    }),
    readStreamAnswer,
  ],
  [
    'Fetch, answered',
    response('/holdfast.v1.Log/Fetch', { ...answer, batches: [batch, batch] }),
    readFetchResponse,
  ],
  [
    'Subscribe, answered',
    response('/holdfast.v1.Log/Subscribe', { queue: 2, ...answer, batches: [batch] }),
    readSubscribeResponse,
  ],
];

function damaged(bytes: Uint8Array): Buffer[] {
  return [...prefixesOf(bytes), ...oneBitChangesOf(bytes)].map((each) => Buffer.from(each));
}

describe('every prefix and every one-bit change', () => {
  test.each(server)('of %s is refused as a call, or read', (_, bytes, decode) => {
    const isRefusal = (error: unknown) => error instanceof CallError && error.reason !== 'INTERNAL';
    expect(decode(Buffer.from(bytes))).toBeDefined();
    for (const each of damaged(bytes)) {
      readOrRefuse(decode as (bytes: Uint8Array) => unknown, each, isRefusal);
    }
  });

  test.each(client)('of %s is refused as malformed, or read', (_, bytes, decode) => {
    const isRefusal = (error: unknown) =>
      error instanceof Error && /^(?:malformed message|number out of range)/.test(error.message);
    expect(decode(Buffer.from(bytes))).toBeDefined();
    for (const each of damaged(bytes)) {
      readOrRefuse(decode as (bytes: Uint8Array) => unknown, each, isRefusal);
    }
  });

  test('of a produce that is taken can be read by every client', () => {
    let taken = 0;
    for (const each of damaged(PRODUCE.requestSerialize(produce))) {
      const isRefusal = (error: unknown) => error instanceof CallError;
      const head = readOrRefuse((bytes) => readProduceHead(bytes, LIMITS), each, isRefusal);
      if (head === undefined) continue;
      taken += 1;
      const read = decodeRequest<{ messages: unknown[] }>(PRODUCE, head.payload);
      expect(read.messages).toHaveLength(head.count);
    }
    expect(taken).toBeGreaterThan(100);
  });

  test("of a forwarded call's name is a target in range, or a name without a target", () => {
    const target = { shard: 12, queueId: 345, queue: 6, variant: 7 };
    const name = encodeMethod('/holdfast.v1.Log/Fetch', target);
    expect(decodeMethod(name).target).toEqual(target);
    for (const each of damaged(Buffer.from(name))) {
      const read = decodeMethod(each.toString('utf8'));
      const numbers = Object.values(read.target ?? {});
      expect(numbers.every((number) => Number.isSafeInteger(number) && number >= 0)).toBe(true);
    }
  });

  test('of a transaction id is another id, or none', () => {
    for (const each of damaged(Buffer.from('12-345-6789'))) {
      const read = parseTransactionId(each.toString('utf8'));
      for (const part of Object.values(read ?? {})) expect(Number.isSafeInteger(part)).toBe(true);
    }
  });
});
