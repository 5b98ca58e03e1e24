/** The hand-written codecs against @grpc/proto-loader's, on arbitrary values. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nextMessage, readSubscribeResponse } from '../../../src/client/fetch-codec.ts';
import { MessageEncoder, messageIdAfter, readMessage } from '../../../src/client/message-codec.ts';
import { HeadWriter, headRoom, readStreamAnswer } from '../../../src/client/produce-codec.ts';
import { Reader, varintSize, writeVarint } from '../../../src/client/wire.ts';
import { loadProto } from './helpers.ts';

interface Codec {
  serialize(value: object): Buffer;
  deserialize(bytes: Buffer): Record<string, unknown>;
}

const definition = loadProto('log') as unknown as Record<string, Codec> & {
  'holdfast.v1.Log': Record<string, Record<string, (value: never) => never>>;
};

const produceStream = definition['holdfast.v1.Log'].ProduceStream!;
const subscribe = definition['holdfast.v1.Log'].Subscribe!;

const messages = fc.record({
  key: fc.string({ unit: 'grapheme' }),
  tag: fc.string(),
  properties: fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' })),
  body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  bornAtMs: fc.maxSafeNat(),
});
const counts = fc.maxSafeNat();

describe('wire codecs', () => {
  it('varints', () => {
    fc.assert(
      fc.property(counts, (value) => {
        const bytes = Buffer.alloc(varintSize(value));
        expect(writeVarint(bytes, 0, value)).toBe(bytes.length);
        expect(new Reader(bytes).varint()).toBe(value);
      }),
    );
    const minusOne = Buffer.from('ffffffffffffffffff01', 'hex');
    expect(new Reader(minusOne).varint()).toBe(-1);
    const tooLarge = Buffer.from('8080808080808010', 'hex');
    expect(() => new Reader(tooLarge).varint()).toThrow('out of range');
    expect(() => new Reader(Buffer.from([0x80])).varint()).toThrow('without an end');
  });

  it('a request is what the generated decoder reads', () => {
    const heads = fc.record({
      requestId: counts,
      resume: fc.boolean(),
      queue: fc.nat(1023),
      sequence: counts,
      producerEpoch: fc.nat(),
      queueEpoch: fc.option(counts, { nil: undefined }),
      deliverAtMs: counts,
      dedupKey: fc.constantFrom('', 'order-7', 'é'.repeat(32)),
    });
    const constants = {
      topic: 't'.repeat(127),
      topicId: '9'.repeat(16),
      producerId: 'p'.repeat(64),
    };
    const writer = new HeadWriter({ ...constants, durability: 2 });
    const room = headRoom({ ...constants, durability: 2 });
    fc.assert(
      fc.property(heads, fc.array(messages, { minLength: 1, maxLength: 5 }), (head, list) => {
        const encoder = new MessageEncoder();
        const buffer = Buffer.alloc(100_000);
        let end = room;
        for (const message of list) {
          encoder.measure(message);
          const after = end + encoder.framedSize();
          end = encoder.write(buffer, end);
          expect(end).toBe(after);
        }
        const copied = Buffer.from(writer.copied(buffer, room, end, head));
        const bytes = writer.inPlace(buffer, room, end, head);
        expect(copied).toEqual(bytes);
        const decoded = produceStream.requestDeserialize!(bytes as never);
        expect(decoded).toMatchObject({
          request_id: String(head.requestId),
          resume: head.resume,
          request: {
            topic: constants.topic,
            topic_id: constants.topicId,
            producer_id: constants.producerId,
            producer_epoch: head.producerEpoch,
            durability: 'MAJORITY',
            queue: head.queue,
            sequence: String(head.sequence),
            deliver_at_ms: String(head.deliverAtMs),
            dedup_keys: head.dedupKey === '' ? [] : [head.dedupKey],
            messages: list.map(({ bornAtMs, ...rest }) => ({
              ...rest,
              born_at_ms: String(bornAtMs),
            })),
          },
        });
      }),
      { numRuns: 200 },
    );
  });

  it('answers of the generated encoder are read', () => {
    const ack = {
      first_message_id: '3-17-0',
      base_offset: '0',
      count: 4,
      queue: 2,
      term: '9',
      log_index: '17',
      durability: 'MAJORITY_FSYNC',
      replicas: 3,
      duplicate: true,
    };
    const bytes = produceStream.responseSerialize!({ request_id: '7', ack } as never);
    expect(readStreamAnswer(bytes)).toEqual({
      requestId: 7,
      ack: {
        queue: 2,
        baseOffset: 0,
        count: 4,
        firstMessageId: '3-17-0',
        term: 9,
        logIndex: 17,
        durability: 'MAJORITY_FSYNC',
        replicas: 3,
        duplicate: true,
      },
    });
    const error = { code: 14, reason: 'R', message: 'm', retryable: true, metadata: { a: 'b' } };
    const failed = produceStream.responseSerialize!({ request_id: '8', error } as never);
    const answer = readStreamAnswer(failed);
    expect('error' in answer && answer.error).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'R',
      message: 'm',
      retryable: true,
      outcomeUnknown: false,
      metadata: { a: 'b' },
    });
  });

  it('batches of the generated encoder are read', () => {
    fc.assert(
      fc.property(fc.array(messages, { maxLength: 5 }), counts, (list, base) => {
        const batch = {
          base_offset: String(Math.floor(base / 2)),
          count: list.length,
          stored_at_ms: '12',
          first_message_id: '1-2-10',
          messages: list.map(({ bornAtMs, ...rest }) => ({
            ...rest,
            born_at_ms: String(bornAtMs),
          })),
        };
        const response = { queue: 3, next_offset: '8', start_offset: '1', end_offset: '9' };
        const bytes = subscribe.responseSerialize!({ ...response, batches: [batch] } as never);
        const answer = readSubscribeResponse(bytes);
        expect(answer).toMatchObject({ queue: 3, nextOffset: 8, startOffset: 1, endOffset: 9 });
        const read = list.map((_, i) => nextMessage(answer.batches[0]!, i, 'topic', 3));
        expect(read).toEqual(
          list.map((message, i) => ({
            ...message,
            topic: 'topic',
            queue: 3,
            offset: Math.floor(base / 2) + i,
            storedAtMs: 12,
            messageId: `1-2-${10 + i}`,
          })),
        );
      }),
      { numRuns: 200 },
    );
  });

  it('cut-off bytes are refused, never read past their end', () => {
    const encoder = new MessageEncoder();
    encoder.measure({ key: 'key', body: 'body', properties: { a: 'b' }, bornAtMs: 1 });
    const buffer = Buffer.alloc(encoder.framedSize());
    encoder.write(buffer, 0);
    const place = { topic: 't', queue: 0, offset: 0, storedAtMs: 0, messageId: '' };
    for (let end = 3; end < buffer.length; end++) {
      const cut = new Reader(buffer, 3, end);
      try {
        readMessage(cut, place);
      } catch (error) {
        expect((error as Error).message).toMatch('malformed');
      }
      expect(cut.position).toBeLessThanOrEqual(buffer.length);
    }
  });

  it('message ids count on', () => {
    expect(messageIdAfter('1-900-7', 0)).toBe('1-900-7');
    expect(messageIdAfter('1-900-7', 5)).toBe('1-900-12');
    expect(messageIdAfter('', 5)).toBe('');
  });
});
