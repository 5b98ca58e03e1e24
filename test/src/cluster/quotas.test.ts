/** Quotas as every replica of the metadata has them, and the topics that count against them. */
import { describe, expect, it } from 'vitest';
import { EMPTY_BYTES, type Entry, EntryType } from '../../../raft/types.ts';
import type { MetaCommand, MetaResult, MetaState } from '../../../src/cluster/api.ts';
import { encodeMetaCommand } from '../../../src/cluster/meta-codec.ts';
import { createMetaState, META_LIMITS } from '../../../src/cluster/meta-state.ts';
import type { QuotaLimits } from '../../../src/cluster/quota-api.ts';
import { born } from '../../harness/births.ts';
import { MemoryRows } from '../../harness/state-rows.ts';

const config = { retentionMs: 0, retentionBytes: 0, durability: 1 } as const;

class Replica {
  readonly rows = new MemoryRows();
  state: MetaState;
  readonly #limits: typeof META_LIMITS;
  #index = 0;

  constructor(limits = META_LIMITS) {
    this.#limits = limits;
    this.state = createMetaState(born(3, 4), limits);
  }

  apply(command: MetaCommand): MetaResult {
    this.#index += 1;
    const at = { index: this.#index, term: 1, type: EntryType.command, timeMs: 1000 };
    const head = encodeMetaCommand(command);
    const entry: Entry = { ...at, head, payload: EMPTY_BYTES, bodyCrc: 0 };
    return this.state.apply(entry, this.rows);
  }

  /** From what is stored, as after a restart or with a snapshot. */
  restart(): void {
    this.state = createMetaState(born(3, 4), this.#limits);
    this.state.load([...this.rows.rows()]);
  }

  set(principal: string, limits: QuotaLimits): MetaResult {
    return this.apply({ type: 'setQuota', quota: { principal, limits } });
  }

  /** ok, or why not. */
  create(name: string, owner?: string): string {
    const whose = owner === undefined ? {} : { owner };
    const result = this.apply({ type: 'createTopic', name, queueCount: 1, config, ...whose });
    return result.type === 'refused' ? result.reason : 'ok';
  }

  delete(name: string): void {
    const { topicId } = this.state.topic(name)!;
    this.apply({ type: 'deleteTopic', name, topicId });
    this.apply({ type: 'topicClosed', topicId });
  }
}

describe('quotas', () => {
  it('are replaced as a whole, and those of everybody hold for who has none', () => {
    const replica = new Replica();
    const of = (principal: string) => replica.state.quotas().of(principal);
    expect(of('app')).toBeUndefined();
    replica.set('*', { requestsPerSecond: 5 });
    replica.set('app', { topics: 1, openTransactions: 0 });
    expect(of('app')).toEqual({ topics: 1, openTransactions: 0 });
    expect(of('other')).toEqual({ requestsPerSecond: 5 });
    replica.set('app', { fetchedBytesPerSecond: 7 });
    expect(of('app')).toEqual({ fetchedBytesPerSecond: 7 });
    replica.apply({ type: 'removeQuota', principal: 'app' });
    expect(of('app')).toEqual({ requestsPerSecond: 5 });
  });

  it('raise the version whenever they change, and only then', () => {
    const replica = new Replica();
    const seen = new Set([replica.state.quotas().version]);
    const isNew = () => {
      const { version } = replica.state.quotas();
      const known = seen.has(version);
      seen.add(version);
      return !known;
    };
    replica.set('app', { topics: 1 });
    expect(isNew()).toBe(true);
    replica.apply({ type: 'removeQuota', principal: 'nobody' });
    expect(isNew()).toBe(false);
    replica.apply({ type: 'removeQuota', principal: 'app' });
    expect(isNew()).toBe(true);
    replica.state.load([]);
    expect(isNew()).toBe(true);
  });

  it('are bounded in number; one that is there may change', () => {
    const replica = new Replica({ ...META_LIMITS, maxQuotas: 1 });
    replica.set('app', { topics: 1 });
    const refused = { type: 'refused', reason: 'TOO_MANY_ACCESS_RULES' };
    expect(replica.set('other', { topics: 1 })).toMatchObject(refused);
    expect(replica.set('app', { topics: 2 })).toEqual({ type: 'done' });
  });

  it('are the same after a restart, in the same bytes', () => {
    const replica = new Replica();
    replica.set('*', { producedBytesPerSecond: 1, fetchedBytesPerSecond: 2 });
    replica.set('app', { requestsPerSecond: 3, topics: 4, openTransactions: 5 });
    replica.set('gone', { topics: 1 });
    replica.apply({ type: 'removeQuota', principal: 'gone' });
    const before = replica.state.quotas().after('', 10);
    expect(before.map(({ principal }) => principal)).toEqual(['*', 'app']);
    expect(replica.state.quotas().after('*', 10)).toHaveLength(1);
    replica.restart();
    expect(replica.state.quotas().after('', 10)).toEqual(before);
  });
});

describe('topics', () => {
  it('count against the quota of who created them, until they are gone', () => {
    const replica = new Replica();
    replica.set('app', { topics: 2 });
    expect(['a', 'b', 'c'].map((name) => replica.create(name, 'app'))).toEqual([
      ...['ok', 'ok', 'QUOTA_FULL'],
    ]);
    expect(replica.create('other', 'other')).toBe('ok');
    expect(replica.create('nobody')).toBe('ok');
    replica.delete('a');
    expect(['c', 'd'].map((name) => replica.create(name, 'app'))).toEqual(['ok', 'QUOTA_FULL']);
  });

  it('are counted when they change, when they grow and after a restart as before', () => {
    const replica = new Replica();
    replica.set('*', { topics: 1 });
    expect(replica.create('a', 'app')).toBe('ok');
    const { topicId } = replica.state.topic('a')!;
    replica.apply({ type: 'topicOpened', topicId, queueCount: 1 });
    const change = { name: 'a', topicId, config: { retentionMs: 5 } };
    replica.apply({ type: 'updateTopic', ...change, queueCount: 2 });
    for (const restarts of [0, 1]) {
      if (restarts > 0) replica.restart();
      expect(replica.state.topic('a')!.owner).toBe('app');
      expect(replica.create('b', 'app')).toBe('QUOTA_FULL');
    }
    replica.delete('a');
    expect(replica.create('b', 'app')).toBe('ok');
  });
});
