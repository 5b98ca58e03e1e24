/**
 * Every call of the API with what it refuses: the gRPC code, the reason, the words. Whatever is
 * refused leaves nothing behind in any log.
 */
import type { ClientDuplexStream, ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Proto, SERVICE_NAMES } from '../../../src/service/proto.ts';
import { GrpcCode } from '../../../src/status.ts';
import { connect, message, type TestClient } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';
import { ADMIN } from './refused/admin.ts';
import { DELIVERIES } from './refused/deliveries.ts';
import { GROUPS } from './refused/groups.ts';
import { LOG } from './refused/log.ts';
import { type RefusedInput, TAKES_NOTHING, TOPIC } from './refused/table.ts';
import { TRANSACTIONS } from './refused/transactions.ts';

const TABLES = { ...LOG, ...TRANSACTIONS, ...GROUPS, ...DELIVERIES, ...ADMIN };
const proto = new Proto();

let cluster: FakeCluster;
let client: TestClient;

beforeAll(async () => {
  cluster = new FakeCluster(3, 3);
  await cluster.start();
  cluster.createTopic(TOPIC, 3);
  cluster.createTopic(`${TOPIC}-off`, 1);
  cluster.createTopic(`${TOPIC}-compacted`, 3, 1, { minLagMs: 0, tombstoneMs: 1000 });
  client = connect(cluster.node(1).port);
  const config = { dedup_window_ms: 0 };
  await client.call('Admin/UpdateTopic', { name: `${TOPIC}-off`, config });
  await client.call('Log/Produce', { topic: TOPIC, queue: 0, messages: [message('x')] });
  const group = { group: 'g', topic: TOPIC };
  await client.call('Log/CommitOffset', { ...group, offsets: [{ queue: 0, offset: 0 }] });
  await client.call('Deliveries/Receive', { ...group, group: 'refused' });
});
afterAll(async () => {
  client.close();
  await cluster.stop();
});

function methods(): string[] {
  return SERVICE_NAMES.flatMap((service) => {
    const names = Object.keys(proto.all[service] as unknown as Record<string, unknown>);
    return names.map((name) => `${service.replace('holdfast.v1.', '')}/${name}`);
  });
}

/** As a client sees the refusal: reason and grpc's error, or the error of a stream's element. */
async function refusalOf(
  method: string,
  request: object,
): Promise<{ reason: string; code: number; text: string }> {
  const { requestStream, responseStream } = proto.method(`/holdfast.v1.${method}`);
  if (!(requestStream || responseStream)) {
    const failed = await client.call(method, request).then(notRefused, asIs);
    return trailersOf(failed);
  }
  const answers: Answers = requestStream
    ? writtenTo(client.stream<object, Answer>(method), request)
    : client.serverStream<Answer>(method, request);
  const first = await new Promise<ServiceError | Answer>((resolve) => {
    answers.on('error', (error) => resolve(error as ServiceError));
    answers.on('data', (answer: Answer) => resolve(answer));
  });
  answers.cancel();
  return 'metadata' in first ? trailersOf(first) : elementOf(first);
}

type Answers = ClientReadableStream<Answer>;

function writtenTo(stream: ClientDuplexStream<object, Answer>, request: object): Answers {
  stream.write(request);
  return stream;
}

interface Answer {
  readonly error?: { readonly code: number; readonly reason: string; readonly message: string };
}

function notRefused(): never {
  throw new Error('not refused');
}

function asIs(error: ServiceError): ServiceError {
  return error;
}

function trailersOf({ code, details, metadata }: ServiceError) {
  return { code, text: details, reason: String(metadata.get('holdfast-reason')[0]) };
}

function elementOf({ error }: Answer) {
  if (error === undefined) return notRefused();
  return { code: error.code, text: error.message, reason: error.reason };
}

const entries = () => [...cluster.logs.values()].reduce((sum, log) => sum + log.entries.length, 0);

it('every method of the proto has its table, and no table is of another', () => {
  expect(Object.keys(TABLES).sort()).toEqual(methods().sort());
});

it('only what takes no input has an empty table', () => {
  for (const [method, { rows }] of Object.entries(TABLES)) {
    const { requestSerialize } = proto.method(`/holdfast.v1.${method}`);
    const every = { name: 'x', topic: 'x', group: 'x', message_id: 'x', page_size: 1, node: 1 };
    const more = { transaction_id: 'x', producer_group: 'x', request_id: 1, start: {}, state: 1 };
    const others = { level: 1, shard: 1, rule: {}, quota: {}, principal: 'x' };
    const takes = requestSerialize({ ...every, ...more, ...others }).length > 0;
    expect([method, rows.length > 0]).toEqual([method, takes]);
  }
  expect(TAKES_NOTHING.rows).toEqual([]);
});

const takingInput = Object.entries(TABLES).filter(([, { rows }]) => rows.length > 0);

describe.each(takingInput)('%s', (method, { request, rows }) => {
  it.each(rows.map((row) => [row.reason, String(row.text), row] as const))(
    '%s %s',
    async (_reason, _text, { code, fields, reason, text }: RefusedInput) => {
      const before = entries();
      const found = await refusalOf(method, { ...request, ...fields });
      expect({ ...found, text: '' }).toEqual({ code: GrpcCode[code], reason, text: '' });
      expect(found.text).toMatch(text);
      if (!REPLICATED.includes(reason)) expect(entries()).toBe(before);
    },
  );
});

/** Decided when the entry is applied, so there is one. */
const REPLICATED: readonly string[] = [
  ...['SEQUENCE_GAP', 'TRANSACTION_NOT_FOUND', 'TOPIC_NOT_FOUND', 'TOPIC_EXISTS'],
  ...['TOPIC_RECREATED', 'QUEUES_ONLY_GROW', 'MEMBER_EXISTS', 'MEMBER_NOT_FOUND'],
  ...['SHARD_NOT_FOUND', 'NOT_A_VOTER', 'NOT_DELAYED', 'MEMBER_UNKNOWN', 'GROUP_NOT_FOUND'],
  'GROUP_EXISTS',
  ...['SUBSCRIPTION_NOT_FOUND', 'OFFSET_PAST_END', 'QUEUES_CHANGED'],
];

describe('what a stub cannot even write', () => {
  const raw = async (method: string, bytes: Buffer) => {
    const error = await client.raw(`/holdfast.v1.${method}`, bytes).then(notRefused, asIs);
    return trailersOf(error as ServiceError);
  };
  /** A part with fields of a ProduceRequest: the numbers are the same. */
  const prepare = (fields: object) => {
    const part = proto.method('/holdfast.v1.Log/Produce').requestSerialize({
      ...{ topic: TOPIC, queue: 0, messages: [message('x')] },
      ...fields,
    });
    const head = Buffer.from([0x0a, 1, 0x70, 0x1a, part.length]);
    return raw('Transactions/Prepare', Buffer.concat([head, part]));
  };

  it.each<[object, RegExp]>([
    [{ delay_level: 1 }, /cannot be delayed as well/],
    [{ deliver_at_ms: 9e12 }, /cannot be delayed as well/],
    [{ dedup_keys: ['k'] }, /has no dedup_keys/],
    [{ durability: 2 }, /needs durability MAJORITY_FSYNC/],
    [{ durability: 4 }, /needs durability MAJORITY_FSYNC/],
    [{ producer_id: 'p', sequence: 0 }, /has no producer_id/],
    [{ sequence: 3 }, /has no producer_id/],
  ])('a half message with %o', async (fields, text) => {
    const before = entries();
    const found = await prepare(fields);
    expect(found).toMatchObject({ code: GrpcCode.INVALID_ARGUMENT, reason: 'INVALID_REQUEST' });
    expect(found.text).toMatch(text);
    expect(entries()).toBe(before);
  });

  it('a fetch whose filter is no filter', async () => {
    const request = proto.method('/holdfast.v1.Log/Fetch').requestSerialize({ topic: TOPIC });
    const found = await raw('Log/Fetch', Buffer.concat([request, Buffer.from([0x4a, 1, 0x61])]));
    expect(found).toMatchObject({ code: GrpcCode.INVALID_ARGUMENT, reason: 'MALFORMED_REQUEST' });
  });

  it.each(
    methods().filter((method) => {
      const { requestStream, responseStream } = proto.method(`/holdfast.v1.${method}`);
      return !(requestStream || responseStream);
    }),
  )('bytes that are no message: %s', async (method) => {
    const found = await raw(method, Buffer.from([0x0a, 0xff, 0xff]));
    expect(found.code).toBe(GrpcCode.INVALID_ARGUMENT);
    expect(found.reason).toBe('MALFORMED_REQUEST');
  });
});
