import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeError,
  encodeError,
  encodeRpcStatus,
  toGrpcError,
} from '../../../src/service/error-codec.ts';
import { Proto } from '../../../src/service/proto.ts';
import { CallError, GrpcCode, REASONS, type Reason } from '../../../src/status.ts';

const reasons = Object.keys(REASONS) as Reason[];
const errors = fc
  .record({
    reason: fc.constantFrom(...reasons),
    message: fc.string({ unit: 'grapheme', maxLength: 60 }),
    retryAfterMs: fc.nat(100_000),
    metadata: fc.dictionary(fc.stringMatching(/^[a-z][a-z-]{0,9}$/), fc.stringMatching(/^[0-9]*$/)),
  })
  .map(({ reason, message, ...options }) => new CallError(reason, message, options));

describe('holdfast.v1.Error', () => {
  test('round trip between nodes', () => {
    fc.assert(
      fc.property(errors, (error) => {
        const { code, reason, message, retryable, outcomeUnknown, retryAfterMs } = error;
        const copy = decodeError(encodeError(error));
        expect(copy).toMatchObject({ code, reason, message, retryable, outcomeUnknown });
        expect(copy.retryAfterMs).toBe(retryAfterMs);
        expect(copy.metadata).toEqual(error.metadata);
      }),
    );
  });

  test('a generated stub reads it', () => {
    const method = new Proto().method('/holdfast.v1.Log/ProduceStream');
    const error = new CallError('OFFSET_FALLS', 'falls', { metadata: { queue: '3' } });
    const bytes = encodeError(error);
    const frame = Buffer.concat([Buffer.from([0x08, 1, 0x1a, bytes.length]), bytes]);
    expect(method.responseDeserialize(frame)).toMatchObject({
      request_id: '1',
      error: { code: 9, reason: 'OFFSET_FALLS', message: 'falls', metadata: { queue: '3' } },
    });
  });
});

describe('trailers', () => {
  test('ASCII, one fact each', () => {
    const metadata = { 'start-offset': '5' };
    const error = new CallError('NODE_BUSY', 'busy', { retryAfterMs: 1_250, metadata });
    const grpc = toGrpcError(error);
    expect(grpc.code).toBe(GrpcCode.RESOURCE_EXHAUSTED);
    expect(grpc.metadata.getMap()).toMatchObject({
      'holdfast-reason': 'NODE_BUSY',
      'holdfast-retryable': 'true',
      'holdfast-outcome-unknown': 'false',
      'holdfast-retry-after-ms': '1250',
      'holdfast-start-offset': '5',
    });
  });

  test('google.rpc.Status with ErrorInfo and RetryInfo', () => {
    const status = encodeRpcStatus(new CallError('NODE_BUSY', 'busy', { retryAfterMs: 1_250 }));
    for (const part of ['busy', 'google.rpc.ErrorInfo', 'NODE_BUSY', 'google.rpc.RetryInfo']) {
      expect(status.includes(part)).toBe(true);
    }
    // Duration {seconds: 1, nanos: 250,000,000} ends the message.
    expect(status.subarray(-7)).toEqual(Buffer.from([0x08, 1, 0x10, 0x80, 0xe5, 0x9a, 0x77]));
  });

  test('a text without end is cut', () => {
    const grpc = toGrpcError(new CallError('INVALID_NAME', 'x'.repeat(100_000)));
    expect(grpc.details.length).toBeLessThan(3_000);
  });
});
