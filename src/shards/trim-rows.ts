/** How a decision about retention looks into a shard's queues (retention.ts). */
import type { ShardId } from '../../raft/types.ts';
import type { TrimSource } from './retention.ts';
import type { StateFlush } from './state-flush.ts';

export function trimRows(
  flush: StateFlush,
  shard: ShardId,
): Pick<TrimSource, 'rowAt' | 'rowsFrom' | 'offsetAtTime' | 'offsetPastBytes'> {
  return {
    rowAt: (queueId, offset) =>
      asked((done) => {
        flush.rowsFrom(shard, queueId, offset, 1, (error, rows) => done(error, rows[0]));
      }),
    rowsFrom: (queueId, offset, limit) =>
      asked((done) => flush.rowsFrom(shard, queueId, offset, limit, done)),
    offsetAtTime: ({ queueId, startOffset, endOffset }, atMs) =>
      asked((done) => {
        flush.firstOffsetAtTime(shard, queueId, startOffset, endOffset, atMs, done);
      }),
    offsetPastBytes: ({ queueId, startOffset, endOffset }, bytes) =>
      asked((done) => {
        flush.firstOffsetPastBytes(shard, queueId, startOffset, endOffset, bytes, done);
      }),
  };
}

function asked<Answer>(
  ask: (done: (error: Error | undefined, answer: Answer) => void) => void,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    ask((error, answer) => {
      if (error === undefined) resolve(answer);
      else reject(error);
    });
  });
}
