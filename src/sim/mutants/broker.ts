/** Planted bugs of queues, dedup, delays, half messages and groups. */
import type { Mutant } from './mutant.ts';

export const BROKER: readonly Mutant[] = [
  {
    name: 'the dedup window is not in the rows',
    file: 'src/broker/dedup',
    from: "out.put('producer', state.key, encodeProducer(state));",
    to: '',
  },
  {
    name: 'a write that was picked before the fence is taken',
    file: 'src/broker/queues',
    from: 'if (given >= minQueueEpoch) return undefined;',
    to: 'if (given + 1 >= minQueueEpoch) return undefined;',
  },
  {
    name: 'a fence is not in the rows',
    file: 'src/broker/queues',
    from: 'queue.minQueueEpoch = minQueueEpoch;\n    writeQueue(queue, out);',
    to: 'queue.minQueueEpoch = minQueueEpoch;',
    test: {
      file: 'test/src/broker/queue-fence.test.ts',
      name: 'never falls, and outlives a restart',
    },
  },
  {
    name: 'a repeated request is taken for a new one',
    file: 'src/broker/dedup',
    from: 'if (given < expected) return recall(state.window, given, count, expected);',
    to: 'if (given < expected) return NEW;',
  },
  {
    name: 'dedup keys are not in the rows',
    file: 'src/broker/dedup-keys',
    from: "out.put('dedup-key', rowKey(id.index), encode(stored));",
    to: '',
  },
  {
    name: 'a dedup key is known beyond its window',
    file: 'src/broker/dedup-keys',
    from: 'return found !== undefined && found.stored.dueAtMs > nowMs ? found : undefined;',
    to: 'return found;',
  },
  {
    name: 'a known dedup key is stored again',
    file: 'src/broker/dedup-keys',
    from: 'if (at < 0) return NEW;',
    to: 'if (at < 9) return NEW;',
  },
  {
    name: 'a dedup key that is forgotten takes its next life with it',
    file: 'src/broker/dedup-keys',
    from: 'if (known.get(key)?.stored === stored) known.delete(key);',
    to: 'known.delete(key);',
    test: {
      file: 'test/src/broker/dedup-keys.test.ts',
      name: 'that came again are not forgotten with their former life',
    },
  },
  {
    name: 'a delayed message comes before its time',
    file: 'src/broker/delays',
    from: '|| batch.dueAtMs > entry.timeMs) continue;',
    to: ') continue;',
  },
  {
    name: 'a delayed message is not in the rows',
    file: 'src/broker/delays',
    from: 'this.places.add(added);\n    putDelayed(added, out);',
    to: 'this.places.add(added);',
  },
  {
    name: 'a delayed message is forgotten as it comes',
    file: 'src/broker/delays',
    from: 'this.#keep(added);\n    this.places.add(added);\n    putDelayed(added, out);',
    to: '',
  },
  {
    name: 'a delivered message stays in the rows',
    file: 'src/broker/delays',
    from: "out.put('delayed', rowKey(batch.id), undefined);",
    to: '',
  },
  {
    name: 'a delayed message that was appended again stands where it was first',
    file: 'src/broker/delays',
    from: '#show({ at, queueId, count, bytes }',
    to: '#show({ id: at, queueId, count, bytes }',
    test: {
      file: 'test/src/broker/delays.test.ts',
      name: 'appended again it lies there, and the log before may go; its name stays',
    },
  },
  {
    name: 'where a delayed message lies is not in the rows',
    file: 'src/broker/delays',
    from: 'if (moved !== undefined) putDelayed(moved, out);',
    to: '',
    test: {
      file: 'test/src/broker/delays.test.ts',
      name: 'appended again it lies there, and the log before may go; its name stays',
    },
  },
  {
    name: 'a half message that was appended again stands where it was first',
    file: 'src/broker/half-messages',
    from: 'const { at, half } = transaction;',
    to: 'const { id: at, half } = transaction;',
    test: {
      file: 'test/src/broker/half-messages.test.ts',
      name: 'appended again lie there, keep their name, and are shown from there',
    },
  },
  {
    name: 'where a part of a transaction lies is not in the rows',
    file: 'src/broker/transaction-parts',
    from: 'if (moved !== undefined) putPart(moved, out);',
    to: '',
    test: {
      file: 'test/src/broker/multi-transactions.test.ts',
      name: 'has parts that may be appended again, and are shown from there',
    },
  },
  {
    name: 'the log goes before what is delayed in it is due',
    file: 'src/broker/data-shard',
    from: 'lower(this.#transactions.lowestIndex(), this.#delays.places.lowestIndex())',
    to: 'this.#transactions.lowestIndex()',
    test: {
      file: 'test/src/broker/delays.test.ts',
      name: 'the log stays as far back as a delayed batch needs it, before its time and after',
    },
  },
  {
    name: 'what is left of a bucket is forgotten once one of it was appended again',
    file: 'src/broker/row-moves',
    from: 'Math.min(lowest, entry.index)',
    to: 'entry.index',
    test: {
      file: 'test/src/broker/row-moves.test.ts',
      name: 'the log stays as far back as what is left of a bucket needs it',
    },
  },
  {
    name: 'a batch that was appended again is still read where it was',
    file: 'src/broker/row-moves',
    from: 'out.moveIndex({ ...row, index: entry.index, term: entry.term }, []);',
    to: '',
    test: {
      file: 'test/src/broker/row-moves.test.ts',
      name: 'a batch that is appended again lies there, at its offsets, and the log before may go',
    },
  },
  {
    name: 'what came into a bucket while its batches were looked at does not count',
    file: 'src/broker/row-moves',
    from: 'until === Math.min(queue.endOffset, bucketEnd(bucket))',
    to: 'until > 0',
    test: {
      file: 'test/src/broker/row-moves.test.ts',
      name: 'nothing moves when something came into the bucket since it was looked at',
    },
  },
  {
    name: 'a message is leased from a place that the log has given up',
    file: 'src/broker/deliveries',
    from: 'if (message.at.index <= this.#floor.index) return undefined;',
    to: '',
    test: {
      file: 'test/src/broker/row-moves.test.ts',
      name: 'a message is not leased from where it was before the log there was given up',
    },
  },
  {
    name: 'the order of a queue is taken to begin at what was appended again',
    file: 'src/shards/queue-front',
    from: 'if (offset === last) return found;',
    to: 'return found;',
    test: {
      file: 'test/src/shards/retention.test.ts',
      name: 'and was appended again holds nothing: the order of its queue goes on behind',
    },
  },
  {
    name: 'a half message is visible before its commit',
    file: 'src/broker/half-messages',
    from: 'this.#transactions.add(transaction, out);',
    to: `this.#transactions.add(transaction, out);
      this.#queues.append(this.#queues.get(queueId), {
        at: transaction.id, count, bytes: 0, storedAtMs: entry.timeMs,
      }, out);`,
  },
  {
    name: 'a decided transaction is decided again',
    file: 'src/broker/half-messages',
    from: 'if (!isOpen(transaction)) return endAgain(transaction, command.decision);',
    to: '',
  },
  {
    name: 'a committed offset falls',
    file: 'src/broker/groups',
    from: 'if (current === undefined || offset >= current) continue;',
    to: 'continue;',
  },
  {
    name: 'of where a group stood what a reset went back to is thinned out',
    file: 'src/broker/offset-history',
    from: 'last !== undefined && last.offset <= replaced.offset;',
    to: 'last !== undefined;',
  },
  {
    name: 'where a group stood is not in the rows',
    file: 'src/broker/groups',
    from: "out.put('offset-history', key, encodeRecords(records));",
    to: '',
  },
  {
    name: 'a queue has a new owner before the old one let go of it',
    file: 'src/broker/group-shares',
    from: 'if (!isThere || queue.owner === queue.next) give(queue);',
    to: 'if (isThere || queue.owner !== queue.next) give(queue);',
  },
  {
    name: 'a commit of an older generation counts',
    file: 'src/broker/group-members',
    from: 'if (given !== generation) return stale;',
    to: '',
  },
  {
    name: 'a commit of before a reset undoes it',
    file: 'src/broker/group-members',
    from: 'return share.owner === member.memberId && share.resetIn === 0;',
    to: 'return share.owner === member.memberId;',
    test: {
      file: 'test/src/broker/group-members.test.ts',
      name: 'after a reset wait until the member has seen it: no old position undoes the reset',
    },
  },
  {
    name: 'who was given a queue is not in the rows',
    file: 'src/broker/group-members',
    from: 'else writeTopic(group, topic, out);',
    to: '',
  },
  {
    name: 'an acknowledgement of an older generation hands queues over',
    file: 'src/broker/group-shares',
    from: 'return mark > 0 && mark <= generation;',
    to: 'return mark > 0 && generation > 0;',
    test: {
      file: 'test/src/broker/group-members.test.ts',
      name: 'an acknowledgement of an older generation, or of one to come, hands nothing over',
    },
  },
  {
    name: 'apply is not deterministic',
    file: 'src/broker/half-messages',
    from: 'preparedAtMs: entry.timeMs,',
    to: 'preparedAtMs: entry.timeMs + Math.floor(2 * Math.random()),',
  },
];
