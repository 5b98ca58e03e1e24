import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeRequest, Proto } from '../../../src/service/proto.ts';
import {
  peekQueue,
  readEndHead,
  readFetchHead,
  readPrepareHead,
  readProduceHead,
  readStreamFrame,
} from '../../../src/service/request-head.ts';

const LIMITS = { maxMessageBytes: 1000, maxMessagesPerRequest: 100 };
const proto = new Proto();
const PRODUCE = proto.method('/holdfast.v1.Log/Produce');
const FETCH = proto.method('/holdfast.v1.Log/Fetch');
const STREAM = proto.method('/holdfast.v1.Log/ProduceStream');
const PREPARE = proto.method('/holdfast.v1.Transactions/Prepare');
const END = proto.method('/holdfast.v1.Transactions/End');

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const message = fc.record({
  key: text,
  tag: text,
  properties: fc.dictionary(text, text, { maxKeys: 3 }),
  body: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  born_at_ms: fc.maxSafeNat(),
});
const request = fc.record({
  topic: text,
  queue: fc.nat(1000),
  ordering_keys: fc.array(text, { maxLength: 3 }),
  dedup_keys: fc.array(text, { maxLength: 3 }),
  durability: fc.nat(4),
  producer_id: text,
  sequence: fc.maxSafeNat(),
  queue_epoch: fc.maxSafeNat(),
  topic_id: text,
  producer_epoch: fc.nat(100),
  messages: fc.array(message, { maxLength: 5 }),
});

function malformed(run: () => unknown): void {
  expect(run).toThrow(expect.objectContaining({ reason: 'MALFORMED_REQUEST' }));
}

describe('produce head', () => {
  test('reads what the generated encoder wrote; the payload is a slice of the request', () => {
    fc.assert(
      fc.property(request, (fields) => {
        const bytes = PRODUCE.requestSerialize(fields);
        const head = readProduceHead(bytes, LIMITS);
        expect(head).toMatchObject({
          ...{ topic: fields.topic, queue: fields.queue, durability: fields.durability },
          ...{ producerId: fields.producer_id, sequence: fields.sequence },
          ...{ queueEpoch: fields.queue_epoch, topicId: fields.topic_id },
          ...{ producerEpoch: fields.producer_epoch, count: fields.messages.length },
        });
        expect(head.orderingKeys ?? []).toEqual(fields.ordering_keys);
        expect(head.dedupKeys ?? []).toEqual(fields.dedup_keys);
        if (fields.messages.length > 0) expect(head.payload.buffer).toBe(bytes.buffer);
        const again = decodeRequest<{ messages: unknown[] }>(PRODUCE, head.payload);
        expect(again.messages).toHaveLength(fields.messages.length);
      }),
    );
  });

  test('every prefix is malformed, or a shorter request; never a wrong slice', () => {
    fc.assert(
      fc.property(request, fc.double({ min: 0, max: 1, noNaN: true }), (fields, share) => {
        const bytes = PRODUCE.requestSerialize(fields);
        const prefix = bytes.subarray(0, Math.floor(bytes.length * share));
        try {
          const head = readProduceHead(prefix, LIMITS);
          const again = decodeRequest<{ messages: unknown[] }>(PRODUCE, head.payload);
          expect(again.messages).toHaveLength(head.count);
        } catch (error) {
          expect(error).toMatchObject({ reason: 'MALFORMED_REQUEST' });
        }
      }),
    );
  });

  test('messages between other fields are legal: the slow way puts them together', () => {
    const first = PRODUCE.requestSerialize({ messages: [{ key: 'a' }, { key: 'b' }] });
    const topic = PRODUCE.requestSerialize({ topic: 'orders' });
    const last = PRODUCE.requestSerialize({ messages: [{ key: 'c' }] });
    const head = readProduceHead(Buffer.concat([first, topic, last]), LIMITS);
    expect(head).toMatchObject({ topic: 'orders', count: 3 });
    expect(head.payload).toEqual(Buffer.concat([first, last]));
  });

  test('the limits hold on both sides', () => {
    const body = (size: number) => ({ messages: [{ body: Buffer.alloc(size) }] });
    const fits = PRODUCE.requestSerialize(body(997));
    expect(readProduceHead(fits, LIMITS).count).toBe(1);
    const tooLarge = PRODUCE.requestSerialize(body(998));
    expect(() => readProduceHead(tooLarge, LIMITS)).toThrow('1001 encoded bytes');
    const many = PRODUCE.requestSerialize({ messages: Array(101).fill({}) });
    expect(() => readProduceHead(many, LIMITS)).toThrow(
      expect.objectContaining({ reason: 'TOO_MANY_MESSAGES' }),
    );
  });

  test('what no reader could decode is not stored', () => {
    const inMessage = (...bytes: number[]) =>
      readProduceHead(Buffer.from([0xc2, 0x3e, bytes.length, ...bytes]), LIMITS);
    malformed(() => inMessage(0x0a, 2, 0xff, 0xfe)); // key that is not UTF-8
    malformed(() => inMessage(0x1a, 4, 0x0a, 2, 0xff, 0xfe)); // property key
    malformed(() => inMessage(0x22, 9, 1)); // body longer than the message
    malformed(() => inMessage(0x08, 1)); // key as a number
    malformed(() => inMessage(0x00, 1)); // field 0
    malformed(() => inMessage(0x33)); // wire type 3
    expect(inMessage(0x22, 2, 0xff, 0xfe).count).toBe(1); // a body is any bytes
    expect(inMessage(0x7a, 1, 0).count).toBe(1); // a newer field
  });

  test('an overlong tag is refused: stored batches are walked by its two bytes', () => {
    malformed(() => readProduceHead(Buffer.from([0xc2, 0xbe, 0x00, 0]), LIMITS));
  });

  test('fields of later versions are skipped, ours of the wrong type refused', () => {
    expect(readProduceHead(Buffer.from([0xa0, 0x06, 5]), LIMITS).count).toBe(0);
    malformed(() => readProduceHead(Buffer.from([0x08, 1]), LIMITS));
  });
});

describe('other heads', () => {
  test('stream frames keep the request as a slice', () => {
    const inner = { topic: 't', messages: [{ key: 'k' }] };
    const frame = STREAM.requestSerialize({ request_id: 7, resume: true, request: inner });
    const head = readStreamFrame(frame);
    expect(head).toMatchObject({ requestId: 7, resume: true });
    expect(head.request.buffer).toBe(frame.buffer);
    expect(readProduceHead(head.request, LIMITS)).toMatchObject({ topic: 't', count: 1 });
  });

  test('fetch', () => {
    const fields = { topic: 't', queue: 2, offset: 9, max_bytes: 1, max_wait_ms: 3 };
    const bytes = FETCH.requestSerialize({ ...fields, linearizable: true, max_messages: 4 });
    expect(readFetchHead(bytes)).toMatchObject({
      ...{ topic: 't', queue: 2, offset: 9, maxBytes: 1, maxWaitMs: 3 },
      ...{ linearizable: true, maxMessages: 4 },
    });
    const filter = { type: 2, expression: 'größe > 1' };
    expect(readFetchHead(FETCH.requestSerialize({ filter })).filter).toEqual(filter);
    // In pieces, as an encoder may send it.
    const pieces = Buffer.concat(
      [{ type: 1 }, { expression: 'a' }].map((one) => FETCH.requestSerialize({ filter: one })),
    );
    expect(readFetchHead(pieces).filter).toEqual({ type: 1, expression: 'a' });
    expect(readFetchHead(FETCH.requestSerialize({ filter: {} })).filter).toBeDefined();
    malformed(() => readFetchHead(Buffer.from([0x4a, 2, 0x0a, 0])));
    malformed(() => readFetchHead(Buffer.from([0x48, 1])));
    malformed(() => readFetchHead(Buffer.from([0x0a, 9])));
    malformed(() => readFetchHead(Buffer.from([0x12, 0])));
  });

  test('prepare', () => {
    const part = { topic: 't', messages: [{ key: 'k' }] };
    const bytes = PREPARE.requestSerialize({ producer_group: 'g', parts: [part, part] });
    const head = readPrepareHead(bytes);
    expect(head).toMatchObject({ producerGroup: 'g', transactionId: '' });
    expect(head.parts).toHaveLength(2);
    expect(head.parts[0]!.buffer).toBe(bytes.buffer);
  });

  test('end: what the generated encoder wrote', () => {
    const fields = fc.record(
      {
        ...{ producer_group: text, transaction_id: text, topic: text },
        ...{ decision: fc.nat(3), queue: fc.nat(1000), operator: fc.boolean() },
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fields, (end) => {
        expect(readEndHead(END.requestSerialize(end))).toEqual({
          ...{ producerGroup: end.producer_group ?? '', transactionId: end.transaction_id ?? '' },
          ...{ decision: end.decision ?? 0, topic: end.topic ?? '' },
          ...{ queue: end.queue ?? -1, operator: end.operator ?? false },
        });
      }),
    );
    expect(readEndHead(Buffer.from([0x38, 1, 0x18, 2]))).toMatchObject({ decision: 2 });
    malformed(() => readEndHead(Buffer.from([0x1a, 0])));
    malformed(() => readEndHead(Buffer.from([0x0a, 9])));
  });

  test('peeking finds the queue of a request that is refused later on', () => {
    const good = PRODUCE.requestSerialize({ topic: 't', queue: 3 });
    expect(peekQueue(Buffer.concat([good, Buffer.from([0xff])]))).toEqual({ topic: 't', queue: 3 });
  });

  test('garbage never does more than be refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        for (const read of [
          ...[readFetchHead, readStreamFrame, readPrepareHead],
          ...[readEndHead, peekQueue],
        ]) {
          try {
            read(bytes);
          } catch (error) {
            expect(error).toHaveProperty('reason');
          }
        }
      }),
      { numRuns: 1000 },
    );
  });
});
