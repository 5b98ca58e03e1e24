/** Planted bugs of compacted queues: of what is known of keys, and of rows that become one. */
import type { Mutant } from './mutant.ts';

const IS_NEWEST = 'return latest?.offset === offset &&';

export const COMPACTION: readonly Mutant[] = [
  {
    name: 'the newest message of a key is not in the rows',
    file: 'src/broker/compacted-keys',
    from: "out.put('compacted-key', rowKey(queueId, key), encode(latest));",
    to: '',
  },
  {
    name: 'a message is shown beside a newer one of its key',
    file: 'src/broker/compacted-keys',
    from: IS_NEWEST,
    to: 'return latest !== undefined && latest.offset >= offset &&',
  },
  {
    name: 'the newest message of a key is hidden like those before',
    file: 'src/broker/compacted-keys',
    from: IS_NEWEST,
    to: 'return latest !== undefined && latest.offset < offset &&',
  },
  {
    name: 'what was deleted comes back when its deletion is forgotten',
    file: 'src/broker/compacted-keys',
    from: IS_NEWEST,
    to: 'if (latest === undefined) return true;\n  return latest.offset === offset &&',
  },
  {
    name: 'a deletion is gone before anybody has read it',
    file: 'src/broker/compacted-keys',
    from: 'isTombstone ? nowMs + compaction.tombstoneMs : undefined',
    to: 'isTombstone ? nowMs : undefined',
  },
  {
    name: 'a message is hidden before its time',
    file: 'src/broker/compacted-keys',
    from: 'if (nowMs < storedAtMs + minLagMs) return true;',
    to: '',
  },
  {
    name: 'rows are compacted that others have changed since',
    file: 'src/broker/compacted-rows',
    from: 'before === references.compactedAt(row.queueId, bucket)',
    to: 'before >= 0',
  },
  {
    name: 'of older batches compaction leaves nothing',
    file: 'src/shards/compaction',
    from: 'data.compactedKeys, nowMs)) shown.push(message);',
    to: 'data.compactedKeys, nowMs) && storedAtMs === row.storedAtMs) shown.push(message);',
  },
  {
    name: 'what compaction leaves is named as if it were first in its batch',
    file: 'src/shards/compaction',
    from: 'const firstPosition = run.firstPosition + offset - run.offset;',
    to: 'const { firstPosition } = run;',
  },
  {
    name: 'of a bucket that becomes several entries the log stays for the last one only',
    file: 'src/shards/compaction',
    from: 'const lowest = Math.min(command.lowest, lowestOfThem);',
    to: 'const { lowest } = command;',
    test: {
      file: 'test/src/shards/compaction.test.ts',
      name: 'of large messages becomes several rows',
    },
  },
  {
    name: 'who compacted a bucket last is not in the rows',
    file: 'src/broker/late-references',
    from: 'if (one.compacted !== undefined) value.uint(one.compacted.at).uint(one.compacted.left);',
    to: 'if (one.compacted !== undefined) value.uint(0).uint(one.compacted.left);',
  },
  {
    name: 'rows that became one stay beside it',
    file: 'src/shards/state-flush',
    from: 'return [...gone.map((key) => ({ key, value: undefined })), indexOp(shard, row)];',
    to: 'void gone; return [indexOp(shard, row)];',
  },
  {
    name: 'what compaction left is read as if it were a whole batch',
    file: 'src/shards/kept-messages',
    from: 'if (compacted !== undefined) return compacted.runs;',
    to: '',
  },
  {
    name: 'a compacted queue begins behind the newest message of a key',
    file: 'src/shards/retention',
    from: 'Math.min(young, compactedKeys.firstLive(queueId) ?? endOffset)',
    to: 'young',
  },
];
