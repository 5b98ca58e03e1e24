import fc from 'fast-check';
import { expect, test } from 'vitest';
import { findByFirstWrite } from '../../../src/service/tracing/by-first-write.ts';
import type { FetchedBatch, ShardHost } from '../../../src/shards/api.ts';

const QUEUE = 5;

interface Stored {
  readonly offset: number;
  readonly index: number;
  readonly position: number;
  readonly isShown: boolean;
}

/** Batches of such sizes, some of their messages hidden; a fetch looks at so many messages. */
function hostOf(all: readonly Stored[], start: number, lookedAt: number): ShardHost {
  const fetch: ShardHost['fetch'] = ({ offset }, done) => {
    const looked = all.slice(offset, offset + lookedAt);
    const found = looked.find(({ isShown }) => isShown);
    const batches = found === undefined ? [] : [batchOf(found)];
    const nextOffset = found === undefined ? offset + looked.length : found.offset + 1;
    done({ status: 'ok', batches, nextOffset, startOffset: start, endOffset: all.length });
    return { cancel: () => undefined };
  };
  const data = {
    lateBuckets: () => [{ queueId: QUEUE, bucket: 0, lowest: 1, isCounted: true }],
    queue: () => ({ startOffset: start, endOffset: all.length }),
  };
  return { fetch, data: () => data } as unknown as ShardHost;
}

function batchOf({ index: firstIndex, offset: baseOffset, position }: Stored): FetchedBatch {
  const row = { queueId: QUEUE, baseOffset, count: 1, index: 900, term: 1 };
  return {
    ...{ baseOffset, count: 1, firstIndex, firstPosition: position },
    row: { ...row, storedAtMs: 10 * baseOffset, cumulativeBytes: 0 },
    messages: new Uint8Array(0),
  };
}

test('each message that is shown is found by its first entry, and no other', () => {
  const batch = fc.record({
    gap: fc.integer({ min: 1, max: 3 }),
    shown: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
  });
  fc.assert(
    fc.property(
      fc.array(batch, { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 9 }),
      fc.nat(8),
      (batches, lookedAt, trimmed) => {
        const all: Stored[] = [];
        let index = 0;
        for (const { gap, shown } of batches) {
          index += gap;
          shown.forEach((isShown, position) => {
            all.push({ offset: all.length, index, position, isShown });
          });
        }
        const start = Math.min(trimmed, all.length);
        const host = hostOf(all, start, lookedAt);
        for (const { index: of, isShown, offset, position } of all) {
          const isThere = isShown && offset >= start;
          const wanted = { queueId: QUEUE, offset, atMs: 10 * offset };
          findByFirstWrite(host, 1, { index: of, position }, (found) => {
            expect(found).toEqual(isThere ? wanted : undefined);
          });
        }
      },
    ),
    { numRuns: 300 },
  );
});
