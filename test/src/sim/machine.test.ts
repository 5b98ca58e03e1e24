import { describe, expect, it } from 'vitest';
import { type Entry, EntryType, type RecoveredShard } from '../../../raft/types.ts';
import type { Command } from '../../../src/broker/commands.ts';
import { SimCheckpoints } from '../../../src/sim/checkpoints.ts';
import { type Applied, SimMachine } from '../../../src/sim/machine.ts';
import { Random } from '../../../src/sim/random.ts';
import { Scheduler } from '../../../src/sim/scheduler.ts';
import { bodyOf } from '../../../src/sim/workload/values.ts';

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
  readonly checkpoints = new SimCheckpoints();
  durable = 0;
  rebuilt = 0;
  readonly machine = new SimMachine({
    scheduler: this.scheduler,
    random: new Random(1),
    writeMaxMs: 1,
    watcher: { onApply: (_, applied) => this.seen.push(applied), onPass: () => {} },
    checkpoints: this.checkpoints,
    maxPendingBytes: 1e6,
    deliver: (run) => run(),
    awaited: () => this.#opening?.awaits() ?? (() => {}),
    writeFails: () => false,
    durableIndex: () => this.durable,
    onRoom: () => {},
    onFatal: (error) => this.scheduler.fail(error),
    onFault: () => {},
    onRebuilt: () => {
      this.rebuilt++;
    },
  });
  #opening: ReturnType<Scheduler['opening']> | undefined;

  async open(shards: readonly RecoveredShard[] = [recovered(0)]): Promise<void> {
    const opening = this.scheduler.opening();
    this.#opening = opening;
    this.scheduler.after(0, () => {
      this.machine
        .open('sim/1', shards)
        .catch((error: Error) => this.scheduler.fail(error))
        .finally(() => {
          opening.isOver = true;
        });
    });
    await this.run();
    this.#opening = undefined;
  }

  run(): Promise<void> {
    return this.scheduler.runUntil(this.scheduler.nowMs + 100, () => {});
  }

  apply(index: number, command: Command, shard = 0): unknown {
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
    expect(rig.machine.persistedIndex(0)).toBe(0);
    rig.durable = 1;
    rig.machine.durable(0, 1);
    await rig.run();
    expect(rig.machine.persistedIndex(0)).toBe(1);
    rig.machine.crash(false);
    expect(rig.machine.appliedIndex(0)).toBe(0);
    await rig.open();
    expect(rig.machine.appliedIndex(0)).toBe(1);
    expect(rig.machine.data(0).queue(1)?.endOffset).toBe(0);
    rig.apply(2, SEND);
    expect(rig.seen[2]?.stateHash).toBe(rig.seen[1]?.stateHash);
    expect(rig.machine.data(0).queue(1)?.endOffset).toBe(2);
  });

  it('built again from the checkpoint that the log starts after, windows and all', async () => {
    const rig = new Rig();
    await rig.open();
    rig.apply(1, OPEN);
    rig.apply(2, SEND);
    rig.durable = 2;
    rig.machine.durable(0, 2);
    await rig.run();
    rig.scheduler.promised();
    const image = await rig.machine.image(0);
    const { membership } = recovered(0).state;
    const other = new Rig();
    other.checkpoints.add({ ...image!, membership });
    await other.open([recovered(0, 2, 2)]);
    expect(other.machine.appliedIndex(0)).toBe(2);
    const repeated = { duplicate: true, baseOffset: 0 };
    expect(other.apply(3, SEND)).toMatchObject(repeated);
  });

  it('different rows, different hash; the order of rows does not matter', async () => {
    const rig = new Rig();
    await rig.open([recovered(0), recovered(1)]);
    const other = { ...OPEN, queueId: 2, queue: 1 };
    rig.apply(1, OPEN);
    rig.apply(2, other);
    rig.apply(1, other, 1);
    rig.apply(2, OPEN, 1);
    expect(rig.seen[1]?.stateHash).toBe(rig.seen[3]?.stateHash);
    expect(rig.seen[0]?.stateHash).not.toBe(rig.seen[2]?.stateHash);
  });
});
