import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ByteReader, ByteWriter, FormatError } from '../../../src/broker/bytes.ts';
import { DEDUP_WINDOW_REQUESTS } from '../../../src/broker/limits.ts';
import { type AcceptedRequest, RequestWindow } from '../../../src/broker/request-window.ts';

const anyRequests = fc.array(
  fc.record({
    skipped: fc.nat(3),
    count: fc.integer({ min: 1, max: 300 }),
    between: fc.nat(400),
    indexStep: fc.integer({ min: 1, max: 40_000 }),
    termStep: fc.nat(1),
  }),
  { minLength: 1, maxLength: 400, size: 'max' },
);

function requestsOf(steps: typeof anyRequests extends fc.Arbitrary<infer T> ? T : never) {
  const requests: AcceptedRequest[] = [];
  let [sequence, baseOffset, index, term] = [0, 2 ** 40, 2 ** 33, 1];
  for (const step of steps) {
    sequence += step.skipped;
    baseOffset += step.between;
    index += step.indexStep;
    term += step.termStep;
    requests.push({ sequence, count: step.count, baseOffset, index, term });
    sequence += step.count;
    baseOffset += step.count;
  }
  return requests;
}

function bytesOf(window: RequestWindow): Uint8Array {
  const row = new ByteWriter();
  window.writeTo(row);
  return row.finishCopy();
}

describe('request window', () => {
  it('finds what a plain list of the last requests holds', () => {
    fc.assert(
      fc.property(anyRequests, fc.nat(), (steps, probe) => {
        const window = new RequestWindow();
        const requests = requestsOf(steps);
        for (const request of requests) window.push(request);
        const kept = requests.slice(-DEDUP_WINDOW_REQUESTS);
        const last = kept.at(-1)!;
        expect(window.nextSequence).toBe(last.sequence + last.count);
        expect(window.lastIndex).toBe(last.index);
        const found: unknown[] = [];
        const wanted: unknown[] = [];
        const probes = [0, probe % window.nextSequence, window.nextSequence];
        for (const { sequence, count } of kept) probes.push(sequence - 1, sequence + count - 1);
        for (const sequence of probes) {
          const slow = kept.find((old) => {
            return sequence >= old.sequence && sequence < old.sequence + old.count;
          });
          found.push(window.find(sequence));
          wanted.push(slow);
        }
        expect(found).toEqual(wanted);
      }),
      { numRuns: 25 },
    );
  });

  it('reads back as the same bytes, and goes on as before', () => {
    fc.assert(
      fc.property(anyRequests, fc.nat(), (steps, cut) => {
        const requests = requestsOf(steps);
        const at = 1 + (cut % requests.length);
        const window = new RequestWindow();
        for (const request of requests.slice(0, at)) window.push(request);
        const twin = RequestWindow.readFrom(new ByteReader(bytesOf(window)));
        expect(bytesOf(twin)).toEqual(bytesOf(window));
        for (const request of requests.slice(at)) {
          window.push(request);
          twin.push(request);
        }
        expect(bytesOf(twin)).toEqual(bytesOf(window));
      }),
      { numRuns: 25 },
    );
  });

  it('refuses a row that holds none or too many', () => {
    for (const length of [0, DEDUP_WINDOW_REQUESTS + 1]) {
      const row = new ByteReader(new ByteWriter().uint(length).finish());
      expect(() => RequestWindow.readFrom(row)).toThrow(FormatError);
    }
  });
});
