import { describe, expect, it } from 'vitest';
import { type Entry, EntryType, type RecoveredShard } from '../../../raft/types.ts';
import type { Command } from '../../../src/broker/commands.ts';
import { createDataShard } from '../../../src/broker/data-shard.ts';
import { stateRows } from '../../../src/shards/tables.ts';
import { AwaitedFiles } from '../../../src/sim/awaited-files.ts';
import { SimFiles } from '../../../src/sim/files.ts';
import { CHECKPOINT_DIRECTORY } from '../../../src/sim/keeper.ts';
import { type Applied, SimMachine } from '../../../src/sim/machine.ts';
import { Random } from '../../../src/sim/random.ts';
import { Scheduler } from '../../../src/sim/scheduler.ts';
import { bodyOf } from '../../../src/sim/workload/values.ts';
import { takeCheckpoint } from '../../../storage/checkpoints.ts';
import { membershipOf } from '../../harness/raft-cluster.ts';

const OPEN: Command = { type: 'openQueue', queueId: 1, topicId: '7', queue: 0 };
const SEND: Command = {
  type: 'produce',
  queueId: 1,
  count: 2,
  durability: 1,
  producer: { producerId: 'p', producerEpoch: 1, sequence: 0 },
};

function entry(index: number, command: Command): Entry {
  const body = bodyOf(command, { tag: `a${index}`, batch: `b${index}` });
  return { index, term: 1, type: EntryType.command, timeMs: 1000 + index, ...body };
}

function recovered(shard: number, lastIndex = 9, start = 0): RecoveredShard {
  const config = { voters: [1], votersOutgoing: [], learners: [], learnersNext: [] };
  const state = {
    hardState: { term: 1, vote: 1, commit: 0 },
    replica: 1,
    logStart: { index: start, term: start === 0 ? 0 : 1 },
    membership: { config, replicas: [{ replica: 1, node: 1, incarnation: 'sim' }] },
  };
  return { shard, state, lastIndex, termStarts: [{ term: 1, index: 1 }], configEntries: [] };
}

class Rig {
  readonly scheduler = new Scheduler();
  readonly seen: Applied[] = [];
  readonly files = new SimFiles({
    scheduler: this.scheduler,
    random: new Random(2),
    timing: { writeMaxMs: 0.1, syncMaxMs: 0.1 },
    deliver: (run) => {
      this.scheduler.promised();
      run();
    },
    onCrashPoint: () => {},
    onFault: () => {},
  });
  durable = 0;
  rebuilt = 0;
  readonly machine = new SimMachine({
    scheduler: this.scheduler,
    random: new Random(1),
    writeMaxMs: 1,
    watcher: {
      onApply: (_, applied) => this.seen.push(applied),
      onPass: () => {},
      onRestore: () => {},
      onRelease: () => {},
    },
    birth: { dataShards: 1, replicationFactor: 1, members: [{ node: 1, incarnation: 'sim' }] },
    onApplied: () => {},
    files: this.files,
    maxPendingBytes: 1e6,
    maxRowsPerQueue: 2,
    deliver: (run) => run(),
    writeFails: () => false,
    durableIndex: () => this.durable,
    durableLogStart: () => 0,
    onRoom: () => {},
    onFatal: (error) => this.scheduler.fail(error),
    onFault: () => {},
    onRebuilt: () => {
      this.rebuilt++;
    },
  });

  async open(shards: readonly RecoveredShard[] = [recovered(1)]): Promise<void> {
    this.scheduler.after(0, () => {
      this.scheduler.promised();
      this.machine.open('sim/1', shards).catch((error: Error) => this.scheduler.fail(error));
    });
    await this.run();
    for (const { shard } of shards) {
      const data = createDataShard(shard);
      data.load(stateRows(this.machine.life.loaded.get(shard)!.rows));
      this.machine.hold(shard, data, 0);
    }
  }

  run(): Promise<void> {
    return this.scheduler.runUntil(this.scheduler.nowMs + 100, () => {});
  }

  apply(index: number, command: Command, shard = 1): unknown {
    const result = this.machine.apply(shard, entry(index, command));
    this.machine.applied(shard, { index, term: 1 });
    return result;
  }
}

describe('the simulated machine', () => {
  it('what the log has not got does not reach LevelDB; a restart goes on the same', async () => {
    const rig = new Rig();
    await rig.open();
    rig.apply(1, OPEN);
    rig.apply(2, SEND);
    await rig.run();
    expect(rig.machine.persistedIndex(1)).toBe(0);
    rig.durable = 1;
    rig.machine.durable(1, 1);
    await rig.run();
    expect(rig.machine.persistedIndex(1)).toBe(1);
    rig.machine.crash(false);
    expect(rig.machine.appliedIndex(1)).toBe(0);
    await rig.open();
    expect(rig.machine.appliedIndex(1)).toBe(1);
    expect(rig.machine.data(1).queue(1)?.endOffset).toBe(0);
    rig.apply(2, SEND);
    expect(rig.seen[2]?.stateHash).toBe(rig.seen[1]?.stateHash);
    expect(rig.machine.data(1).queue(1)?.endOffset).toBe(2);
  });

  it('built again from the checkpoint that the log starts after, windows and all', async () => {
    const rig = new Rig();
    await rig.open();
    rig.apply(1, OPEN);
    rig.apply(2, SEND);
    rig.durable = 2;
    rig.machine.durable(1, 2);
    await rig.run();
    rig.scheduler.after(0, () => {
      rig.scheduler.promised();
      takeCheckpoint({
        source: rig.machine.life.state,
        directory: CHECKPOINT_DIRECTORY,
        shard: 1,
        membership: () => membershipOf([1]),
        files: new AwaitedFiles(rig.files, rig.scheduler),
        breathe: () => Promise.resolve(),
      }).catch((error: Error) => rig.scheduler.fail(error));
    });
    await rig.run();
    rig.machine.crash(false);
    rig.machine.wipe();
    await rig.open([recovered(1, 2, 2)]);
    expect(rig.machine.appliedIndex(1)).toBe(2);
    const repeated = { duplicate: true, baseOffset: 0 };
    expect(rig.apply(3, SEND)).toMatchObject(repeated);
  });

  it('different rows, different hash; the order of rows does not matter', async () => {
    const rig = new Rig();
    await rig.open([recovered(1), recovered(2)]);
    const other = { ...OPEN, queueId: 2, queue: 1 };
    rig.apply(1, OPEN);
    rig.apply(2, other);
    rig.apply(1, other, 2);
    rig.apply(2, OPEN, 2);
    expect(rig.seen[1]?.stateHash).toBe(rig.seen[3]?.stateHash);
    expect(rig.seen[0]?.stateHash).not.toBe(rig.seen[2]?.stateHash);
  });
});
