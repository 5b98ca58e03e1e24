import { describe, expect, it } from 'vitest';
import { EMPTY_BYTES, type Entry, EntryType } from '../../../raft/types.ts';
import { FeatureLevelError, FIRST_LEVEL, NEWEST_LEVEL } from '../../../src/broker/feature-level.ts';
import type { MetaCommand, MetaResult, MetaState, TopicConfig } from '../../../src/cluster/api.ts';
import { encodeMetaCommand } from '../../../src/cluster/meta-codec.ts';
import { createMetaState, META_LIMITS } from '../../../src/cluster/meta-state.ts';
import { born } from '../../harness/births.ts';
import { MemoryRows } from '../../harness/state-rows.ts';

const config = { retentionMs: 1000, retentionBytes: 0, durability: 1 } as const;

class Fixture {
  readonly rows = new MemoryRows();
  readonly state: MetaState;
  index = 0;

  constructor(dataShards = 4, limits = META_LIMITS) {
    this.state = createMetaState(born(3, dataShards), limits);
  }

  apply(command: MetaCommand): MetaResult {
    this.index += 1;
    return this.state.apply(entryOf(command, this.index), this.rows);
  }

  create(name: string, queueCount = 2): MetaResult {
    return this.apply({ type: 'createTopic', name, queueCount, config });
  }

  /** What the reconciler does. */
  settle(): void {
    for (const topic of this.state.pendingTopics()) {
      const { topicId } = topic;
      if (topic.phase === 'close') this.apply({ type: 'topicClosed', topicId });
      else if (topic.phase === 'open') {
        this.apply({ type: 'topicOpened', topicId, queueCount: topic.queueCount });
      } else this.apply({ type: 'topicFenced', topicId, minQueueEpoch: topic.minQueueEpoch });
    }
  }

  reload(dataShards = 4): MetaState {
    const loaded = createMetaState(born(3, dataShards));
    loaded.load(this.rows.rows());
    return loaded;
  }
}

function entryOf(command: MetaCommand, index: number): Entry {
  const head = encodeMetaCommand(command);
  const base = { index, term: 1, type: EntryType.command, timeMs: 1000 + index };
  return { ...base, head, payload: EMPTY_BYTES, bodyCrc: 0 };
}

function grow(name: string, queueCount: number, topicId = ''): MetaCommand {
  return { type: 'updateTopic', name, topicId, queueCount, config: {} };
}

describe('topics', () => {
  it('are created with the entry index as id and queues on the emptiest shards', () => {
    const meta = new Fixture();
    meta.index = 6;
    expect(meta.create('orders', 3)).toMatchObject({
      type: 'topic',
      topic: { topicId: '7', state: 'creating', queues: [], queueEpoch: 1, createdAtMs: 1007 },
    });
    expect(meta.state.pendingTopics()).toEqual([
      {
        phase: 'open',
        topicId: '7',
        queueCount: 3,
        queues: [
          { queue: 0, queueId: 1, shard: 1 },
          { queue: 1, queueId: 2, shard: 2 },
          { queue: 2, queueId: 3, shard: 3 },
        ],
      },
    ]);
    meta.settle();
    expect(meta.state.pendingTopics()).toEqual([]);
    expect(meta.state.topic('orders')).toMatchObject({ state: 'active', queueEpoch: 1, config });
    expect(meta.state.topic('orders')?.queues).toHaveLength(3);
  });

  it('exist once per name, whatever their settings', () => {
    const meta = new Fixture();
    meta.create('orders');
    expect(meta.create('orders')).toMatchObject({ type: 'refused', reason: 'TOPIC_EXISTS' });
    meta.settle();
    expect(meta.create('orders')).toMatchObject({ type: 'refused', reason: 'TOPIC_EXISTS' });
  });

  it('grow, and show new queues with a new epoch only when all are open', () => {
    const meta = new Fixture();
    meta.create('orders', 2);
    meta.settle();
    expect(meta.apply(grow('orders', 4))).toMatchObject({ topic: { queueEpoch: 1 } });
    expect(meta.state.topic('orders')?.queues).toHaveLength(2);
    expect(meta.state.topic('orders')?.state).toBe('active');
    expect(meta.state.pendingTopics()).toMatchObject([
      { phase: 'open', queueCount: 4, queues: [{ queue: 2 }, { queue: 3 }] },
    ]);
    expect(meta.apply(grow('orders', 5))).toMatchObject({ reason: 'TOPIC_BUSY' });
    meta.settle();
    expect(meta.state.topic('orders')).toMatchObject({ queueEpoch: 2 });
    expect(meta.state.topic('orders')?.queues.map(({ queue }) => queue)).toEqual([0, 1, 2, 3]);
    expect(meta.apply(grow('orders', 3))).toMatchObject({ reason: 'QUEUES_ONLY_GROW' });
    expect(meta.apply(grow('orders', 4))).toMatchObject({ type: 'topic' });
    expect(meta.state.pendingTopics()).toEqual([]);
  });

  it('change only what an update sets', () => {
    const meta = new Fixture();
    meta.create('orders');
    const update = { type: 'updateTopic', name: 'orders', topicId: '' } as const;
    meta.apply({ ...update, queueCount: undefined, config: { retentionBytes: 5 } });
    expect(meta.state.topic('orders')?.config).toEqual({ ...config, retentionBytes: 5 });
  });

  it('refuse writes behind a fence, and accept them at the epoch of it', () => {
    const meta = new Fixture();
    meta.create('orders', 2);
    meta.settle();
    const writes = (to: 'accepted' | 'refused') =>
      meta.apply({ ...update, queueCount: undefined, config: { writes: to } });
    const update = { type: 'updateTopic', name: 'orders', topicId: '' } as const;
    const fence = () => {
      const { minQueueEpoch, isFenced, queueEpoch } = meta.state.topic('orders')!;
      return { minQueueEpoch, isFenced, queueEpoch };
    };
    expect(fence()).toEqual({ queueEpoch: 1, minQueueEpoch: 0, isFenced: true });
    writes('refused');
    expect(fence()).toEqual({ queueEpoch: 1, minQueueEpoch: 2, isFenced: false });
    expect(meta.state.pendingTopics()).toMatchObject([
      { phase: 'fence', topicId: '1', minQueueEpoch: 2, queues: [{ queue: 0 }, { queue: 1 }] },
    ]);
    meta.apply({ type: 'topicFenced', topicId: '1', minQueueEpoch: 1 });
    expect(fence().isFenced).toBe(false);
    meta.settle();
    writes('refused');
    expect(fence()).toEqual({ queueEpoch: 1, minQueueEpoch: 2, isFenced: true });
    expect(meta.reload().topic('orders')).toEqual(meta.state.topic('orders'));
    writes('accepted');
    expect(fence()).toEqual({ queueEpoch: 2, minQueueEpoch: 2, isFenced: true });
    writes('refused');
    expect(fence()).toEqual({ queueEpoch: 2, minQueueEpoch: 3, isFenced: false });
  });

  it('of strict order grow only fenced and drained, and the new queues are fenced, too', () => {
    const meta = new Fixture();
    const strict = { ...config, order: 'strict' } as const;
    meta.apply({ type: 'createTopic', name: 'orders', queueCount: 2, config: strict });
    meta.settle();
    const update = { type: 'updateTopic', name: 'orders', topicId: '', config: {} } as const;
    const more = (drainedAtEpoch?: number, change: Partial<TopicConfig> = {}) =>
      meta.apply({
        ...{ ...update, queueCount: 3, config: change },
        ...(drainedAtEpoch === undefined ? {} : { drainedAtEpoch }),
      });
    const refused = { reason: 'TOPIC_STRICT' };
    expect(more(0)).toMatchObject(refused);
    meta.apply({ ...update, queueCount: undefined, config: { writes: 'refused' } });
    expect(more(2)).toMatchObject(refused);
    meta.settle();
    expect(more()).toMatchObject(refused);
    expect(more(1)).toMatchObject(refused);
    expect(more(2, { writes: 'accepted' })).toMatchObject(refused);
    expect(more(2)).toMatchObject({ type: 'topic' });
    const reopen = { ...update, queueCount: undefined, config: { writes: 'accepted' } } as const;
    expect(meta.apply(reopen)).toMatchObject({ reason: 'TOPIC_BUSY' });
    meta.settle();
    const grown = { queueEpoch: 2, minQueueEpoch: 3, isFenced: false };
    expect(meta.state.topic('orders')).toMatchObject(grown);
    meta.settle();
    meta.apply(reopen);
    expect(meta.state.topic('orders')).toMatchObject({ ...grown, queueEpoch: 3, isFenced: true });
    expect(meta.state.topic('orders')?.queues).toHaveLength(3);
    expect(meta.apply(grow('orders', 4))).toMatchObject(refused);
  });

  it('that are compacted open so, stay so, and keep their queues', () => {
    const meta = new Fixture();
    const compaction = { minLagMs: 5, tombstoneMs: 7 };
    const compacted = { ...config, retentionMs: 0, compaction };
    meta.apply({ type: 'createTopic', name: 'latest', queueCount: 2, config: compacted });
    expect(meta.state.pendingTopics()).toMatchObject([{ phase: 'open', compaction }]);
    meta.settle();
    expect(meta.apply(grow('latest', 3))).toMatchObject({ reason: 'TOPIC_COMPACTED' });
    const update = { ...grow('latest', 2), type: 'updateTopic' } as const;
    const available = meta.apply({ ...update, config: { diskPolicy: 'availability' } } as never);
    expect(available).toMatchObject({ reason: 'TOPIC_COMPACTED' });
    for (const retention of [{ retentionMs: 9 }, { retentionBytes: 9 }]) {
      const refused = meta.apply({ ...update, config: retention } as never);
      expect(refused).toMatchObject({ reason: 'TOPIC_COMPACTED' });
    }
    meta.apply({ ...update, config: { durability: 2, compaction: { minLagMs: 1 } } } as never);
    expect(meta.state.topic('latest')?.config).toEqual({ ...compacted, durability: 2 });
    expect(meta.reload().topic('latest')).toEqual(meta.state.topic('latest'));
  });

  it('are hidden while being deleted, gone afterwards, and come back under another id', () => {
    const meta = new Fixture();
    meta.create('orders');
    meta.settle();
    const remove = { type: 'deleteTopic', name: 'orders', topicId: '1' } as const;
    expect(meta.apply(remove)).toMatchObject({ topic: { topicId: '1', state: 'deleting' } });
    expect(meta.apply(remove)).toMatchObject({ topic: { topicId: '1', state: 'deleting' } });
    expect(meta.state.topic('orders')).toBeUndefined();
    expect(meta.state.topics('', 10)).toEqual([]);
    expect(meta.state.topicById('1')?.state).toBe('deleting');
    expect(meta.create('orders')).toMatchObject({ reason: 'TOPIC_BUSY' });
    expect(meta.apply(grow('orders', 9))).toMatchObject({ reason: 'TOPIC_NOT_FOUND' });
    meta.settle();
    expect(meta.state.topicById('1')).toBeUndefined();
    expect(meta.state.topicCount()).toBe(0);
    meta.create('orders');
    meta.settle();
    expect(meta.state.topic('orders')?.queues.map(({ queueId }) => queueId)).toEqual([3, 4]);
    expect(meta.apply(remove)).toMatchObject({ reason: 'TOPIC_RECREATED' });
    expect(meta.apply(grow('orders', 9, '1'))).toMatchObject({ reason: 'TOPIC_RECREATED' });
    expect(meta.apply({ ...remove, name: 'x' })).toMatchObject({ reason: 'TOPIC_NOT_FOUND' });
  });

  it('ignore reports that come late or twice', () => {
    const meta = new Fixture();
    meta.create('orders', 2);
    const opened = { type: 'topicOpened', topicId: '1', queueCount: 2 } as const;
    meta.apply(opened);
    meta.apply(grow('orders', 3));
    expect(meta.apply(opened)).toEqual({ type: 'done' });
    expect(meta.state.topic('orders')?.queues).toHaveLength(2);
    expect(meta.apply({ type: 'topicClosed', topicId: '1' })).toEqual({ type: 'done' });
    expect(meta.state.topic('orders')).toBeDefined();
    meta.apply({ type: 'deleteTopic', name: 'orders', topicId: '' });
    expect(meta.apply({ ...opened, queueCount: 3 })).toEqual({ type: 'done' });
    expect(meta.state.topicById('1')?.state).toBe('deleting');
    expect(meta.apply({ type: 'topicClosed', topicId: '99' })).toEqual({ type: 'done' });
  });

  it('are listed by name, page by page', () => {
    const meta = new Fixture();
    for (const name of ['b', 'd', 'a', 'C', 'e']) meta.create(name);
    meta.settle();
    const names = (after: string, limit: number): string[] =>
      meta.state.topics(after, limit).map(({ name }) => name);
    expect(names('', 3)).toEqual(['C', 'a', 'b']);
    expect(names('b', 3)).toEqual(['d', 'e']);
    expect(names('bb', 1)).toEqual(['d']);
    meta.apply({ type: 'deleteTopic', name: 'b', topicId: '' });
    expect(names('', 9)).toEqual(['C', 'a', 'd', 'e']);
    meta.settle();
    expect(names('', 9)).toEqual(['C', 'a', 'd', 'e']);
  });

  it('have bounds', () => {
    const meta = new Fixture(2, { ...META_LIMITS, maxTopics: 2, maxQueues: 6 });
    meta.create('a', 2);
    expect(meta.create('b', 5)).toMatchObject({ reason: 'TOO_MANY_TOPICS' });
    meta.create('b', 2);
    expect(meta.create('c', 1)).toMatchObject({ reason: 'TOO_MANY_TOPICS' });
    meta.settle();
    expect(meta.apply(grow('a', 5))).toMatchObject({ reason: 'TOO_MANY_TOPICS' });
    expect(meta.apply(grow('a', 4))).toMatchObject({ type: 'topic' });
    meta.apply({ type: 'deleteTopic', name: 'b', topicId: '' });
    meta.settle();
    expect(meta.create('c', 2)).toMatchObject({ type: 'topic' });
  });

  it('leave room on their shards when they go', () => {
    const meta = new Fixture(2);
    meta.create('a', 3);
    meta.apply({ type: 'deleteTopic', name: 'a', topicId: '' });
    meta.settle();
    meta.create('b', 1);
    expect(meta.state.pendingTopics()[0]?.queues).toEqual([{ queue: 0, queueId: 4, shard: 1 }]);
  });
});

describe('the rest of the metadata', () => {
  it('keeps node addresses, of the directory that is the member', () => {
    const meta = new Fixture();
    const register = (node: number, incarnation: string, at: string) =>
      meta.apply({
        type: 'registerNode',
        ...{ node, incarnation, grpcAddress: `g:${at}`, peerAddress: `p:${at}` },
      });
    register(2, 'i2', '1');
    register(2, 'i2', '2');
    register(1, 'another', '9');
    register(7, 'i7', '9');
    const addresses = [
      { node: 1, incarnation: 'i1', grpcAddress: '', peerAddress: '', state: 'member' },
      { node: 2, incarnation: 'i2', grpcAddress: 'g:2', peerAddress: 'p:2', state: 'member' },
      { node: 3, incarnation: 'i3', grpcAddress: '', peerAddress: '', state: 'member' },
    ];
    expect(meta.state.members()).toEqual(addresses);
    expect(meta.reload().members()).toEqual(addresses);
    const written = meta.rows.puts.length;
    register(2, 'i2', '2');
    expect(meta.rows.puts.length).toBe(written);
  });

  it('loading replaces everything: a snapshot is installed over what was there', () => {
    const meta = new Fixture();
    const other = new Fixture();
    meta.create('orders', 2);
    meta.apply({ type: 'removeMember', node: 3 });
    other.create('bills', 1);
    meta.state.load(other.rows.rows());
    expect(meta.state.topic('orders')).toBeUndefined();
    expect(meta.state.topicCount()).toBe(1);
    expect(meta.state.member(3)?.state).toBe('member');
    expect(meta.create('new', 1)).toMatchObject({ type: 'topic' });
    expect(meta.state.pendingTopics().at(-1)?.queues).toEqual([{ queue: 0, queueId: 2, shard: 2 }]);
  });

  it('lets its log go as far as it is told, never past the entry that says so', () => {
    const meta = new Fixture();
    meta.create('orders');
    expect(meta.apply({ type: 'trim', logTrim: 1 })).toEqual({ type: 'trimmed', logTrim: 1 });
    expect(() => meta.apply({ type: 'trim', logTrim: 3 })).toThrow('past its own entry');
  });

  it('rises to a feature level and never falls; one that is not known here is not touched', () => {
    const rows = new MemoryRows();
    const old = { ...born(3, 4), featureLevel: FIRST_LEVEL };
    const state = createMetaState(old);
    expect(state.featureLevel()).toBe(FIRST_LEVEL);
    for (const [at, level] of [NEWEST_LEVEL, FIRST_LEVEL].entries()) {
      state.apply(entryOf({ type: 'raiseLevel', level }, at + 1), rows);
    }
    expect(state.featureLevel()).toBe(NEWEST_LEVEL);
    const loaded = createMetaState(old);
    loaded.load(rows.rows());
    expect(loaded.featureLevel()).toBe(NEWEST_LEVEL);
    loaded.load([]);
    expect(loaded.featureLevel()).toBe(FIRST_LEVEL);
    const above = entryOf({ type: 'raiseLevel', level: NEWEST_LEVEL + 1 }, 9);
    expect(() => state.apply(above, rows)).toThrow(FeatureLevelError);
    expect(new Fixture().state.featureLevel()).toBe(NEWEST_LEVEL);
  });

  it('places groups by the published hash', () => {
    expect(createMetaState(born(3)).shardOfGroup('order-1')).toBe(9);
    expect(createMetaState(born(3)).shardOfGroup('')).toBe(12);
  });

  it('ignores entries that are no commands', () => {
    const meta = new Fixture();
    const entry = { ...entryOf({ type: 'topicClosed', topicId: '1' }, 1), head: EMPTY_BYTES };
    const noop = { ...entry, type: EntryType.noop };
    expect(meta.state.apply(noop, meta.rows)).toEqual({ type: 'done' });
  });

  it('loads exactly what was written', () => {
    const meta = new Fixture();
    for (const name of ['a', 'b', 'c', 'd']) meta.create(name, 3);
    meta.settle();
    meta.apply(grow('b', 5));
    meta.apply({ type: 'deleteTopic', name: 'c', topicId: '' });
    meta.create('e', 3);
    const loaded = meta.reload();
    expect(loaded.topics('', 99)).toEqual(meta.state.topics('', 99));
    expect(loaded.topicById('3')).toEqual(meta.state.topicById('3'));
    expect(loaded.topicCount()).toBe(meta.state.topicCount());
    const byId = (a: { topicId: string }, b: { topicId: string }): number =>
      Number(a.topicId) - Number(b.topicId);
    expect([...loaded.pendingTopics()].sort(byId)).toEqual(
      [...meta.state.pendingTopics()].sort(byId),
    );
    const twin = new MemoryRows();
    const entry = entryOf({ type: 'createTopic', name: 'f', queueCount: 7, config }, 99);
    expect(loaded.apply(entry, twin)).toEqual(meta.state.apply(entry, meta.rows));
    expect(meta.rows.puts.slice(-twin.puts.length)).toEqual(twin.puts);
    expect(loaded.pendingTopics().at(-1)).toEqual(meta.state.pendingTopics().at(-1));
  });
});
