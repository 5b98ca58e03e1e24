import { describe, expect, test } from 'vitest';
import type { Invite } from '../../../raft/messages.ts';
import type { LogRecord } from '../../../raft/ports.ts';
import { createDataShard } from '../../../src/broker/data-shard.ts';
import { LocalShards } from '../../../src/shards/local-shards.ts';

const SHARD = 4;
const membership = {
  config: { voters: [1, 2, 3], votersOutgoing: [], learners: [7], learnersNext: [] },
  replicas: [{ replica: 7, node: 5, incarnation: 'mine' }],
};

/** Every step of the disk waits until it is told to end. */
class Rig {
  readonly did: string[] = [];
  readonly writes: { records: readonly LogRecord[]; onDurable(): void }[] = [];
  readonly flushes: (() => void)[] = [];
  readonly shards: LocalShards;
  readonly retired: string[] = [];

  constructor(tombstones = new Map<number, number>()) {
    this.shards = new LocalShards({
      incarnation: 'mine',
      driver: {
        addShard: ({ shard, state, lastIndex }) =>
          void this.did.push(`add ${shard}/${state.replica} at ${lastIndex}`),
        removeShard: (shard) => void this.did.push(`remove ${shard}`),
      },
      log: {
        write: (records, { onDurable }) => void this.writes.push({ records, onDurable }),
      },
      machine: {
        hold: (shard) => void this.did.push(`hold ${shard}`),
        release: (shard) => void this.did.push(`release ${shard}`),
      },
      flush: { drop: (_shard, done) => void this.flushes.push(done) },
      snapshots: { drop: async (shard) => void this.did.push(`files of ${shard} gone`) },
      meta: {
        load: () => undefined,
        isRetired: (shard, replica) => this.retired.includes(`${shard}/${replica}`),
      },
      newData: (shard) => createDataShard(shard),
      logger: { info: () => undefined },
      tombstones,
      onLeft: (shard) => void this.did.push(`${shard} left`),
      onFatal: (error) => {
        throw error;
      },
    });
  }

  invite(to: number, more: Partial<Invite> = {}): void {
    this.shards.invited({
      ...{ type: 'invite', shard: SHARD, from: 1, to, term: 3, incarnation: 'mine' },
      ...{ logStart: { index: 9, term: 2 }, membership, replaces: false },
      ...more,
    });
  }

  sync(): string[] {
    const { records, onDurable } = this.writes.shift()!;
    onDurable();
    return records.map(({ kind }) => kind);
  }

  async dropRows(): Promise<void> {
    this.flushes.shift()!();
    await new Promise(setImmediate);
  }

  take(): string[] {
    return this.did.splice(0);
  }
}

describe('an invited replica', () => {
  test('exists when its first record is durable, with nothing in its log', () => {
    const rig = new Rig();
    rig.invite(7);
    rig.invite(7);
    expect([rig.did, rig.writes.length]).toEqual([[], 1]);
    expect(rig.writes[0]!.records).toEqual([
      {
        kind: 'state',
        shard: SHARD,
        state: {
          hardState: { term: 0, vote: 0, commit: 0 },
          replica: 7,
          logStart: { index: 0, term: 0 },
          membership,
        },
      },
    ]);
    rig.sync();
    expect(rig.take()).toEqual(['hold 4', 'add 4/7 at 0']);
    expect(rig.shards.replicaOf(SHARD)).toBe(7);
    rig.invite(7);
    expect(rig.writes).toEqual([]);
  });

  test('of another incarnation of this directory, or of an id that was here, is not made', () => {
    const rig = new Rig(new Map([[SHARD, 7]]));
    rig.invite(8, { incarnation: 'another' });
    rig.invite(7);
    rig.invite(6);
    expect(rig.writes).toEqual([]);
    rig.invite(8);
    expect(rig.writes).toHaveLength(1);
  });

  test('takes the place of an older one only where the leader says so, step by step', async () => {
    const rig = new Rig();
    rig.invite(7);
    rig.sync();
    rig.take();
    rig.invite(9);
    expect(rig.writes).toEqual([]);
    rig.invite(9, { replaces: true });
    rig.invite(9, { replaces: true });
    expect(rig.take()).toEqual(['remove 4', 'release 4', '4 left']);
    expect([rig.sync(), rig.take(), rig.writes]).toEqual([['drop'], [], []]);
    await rig.dropRows();
    expect(rig.take()).toEqual(['files of 4 gone']);
    expect(rig.sync()).toEqual(['state']);
    expect(rig.take()).toEqual(['hold 4', 'add 4/9 at 0']);
    expect(rig.shards.replicaOf(SHARD)).toBe(9);
  });
});

describe('a replica that is dropped', () => {
  test('is gone at the end of all steps, and its id never comes back', async () => {
    const rig = new Rig();
    rig.invite(7);
    rig.sync();
    let gone = 0;
    rig.shards.drop(SHARD, 7, () => gone++);
    rig.shards.drop(SHARD, 7, () => gone++);
    expect(rig.sync()).toEqual(['drop']);
    expect(gone).toBe(1);
    await rig.dropRows();
    expect(gone).toBe(2);
    rig.invite(7, { replaces: true });
    expect(rig.writes).toEqual([]);
    rig.invite(8);
    expect(rig.sync()).toEqual(['state']);
  });

  test('while it is still coming, goes when it is there', () => {
    const rig = new Rig();
    rig.invite(7);
    rig.shards.drop(SHARD, 7, () => undefined);
    rig.sync();
    expect(rig.take()).toEqual(['hold 4', 'add 4/7 at 0', 'remove 4', 'release 4', '4 left']);
    expect(rig.sync()).toEqual(['drop']);
  });

  test('goes by itself when the metadata names it nowhere any more', () => {
    const rig = new Rig();
    rig.invite(7);
    rig.sync();
    rig.retired.push(`${SHARD}/6`);
    rig.shards.dropRetired();
    expect(rig.writes).toEqual([]);
    rig.retired.push(`${SHARD}/7`);
    rig.shards.dropRetired();
    rig.shards.dropRetired();
    expect([rig.sync(), rig.writes]).toEqual([['drop'], []]);
  });

  test('goes at the next start if the process ended before that was on the disk', () => {
    const rig = new Rig();
    const hardState = { term: 2, vote: 0, commit: 3 };
    const state = { hardState, replica: 7, logStart: { index: 0, term: 0 }, membership };
    const found = { shard: SHARD, state, lastIndex: 3, termStarts: [], configEntries: [] };
    rig.retired.push(`${SHARD}/7`);
    rig.shards.open([found], new Map());
    expect(rig.take()).toEqual(['hold 4', 'add 4/7 at 3', 'remove 4', 'release 4', '4 left']);
    expect(rig.sync()).toEqual(['drop']);
  });

  test('under another id is left alone', () => {
    const rig = new Rig();
    rig.invite(7);
    rig.sync();
    rig.take();
    let gone = 0;
    rig.shards.drop(SHARD, 6, () => gone++);
    expect([gone, rig.did, rig.shards.replicaOf(SHARD)]).toEqual([1, [], 7]);
  });
});
