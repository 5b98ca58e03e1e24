/**
 * Delayed messages (reliability P19): they stand in a queue since an entry of their time or later
 * named them, once, and never after they were recalled. Until then the state has them.
 */
import type { Entry, LogIndex, ShardId, ShardTimeMs } from '../../../raft/types.ts';
import type { DataShard } from '../../broker/api.ts';
import type { ApplyResult, Command, QueueId } from '../../broker/commands.ts';
import type { QueueIndexRow } from '../../broker/state-port.ts';
import { expect } from '../failure.ts';
import type { CopiedBodies } from './copied-bodies.ts';

interface Waiting {
  readonly shard: ShardId;
  readonly index: LogIndex;
  readonly queueId: QueueId;
  readonly dueAtMs: ShardTimeMs;
}

export class DelayHidden {
  /** By shard and the index of their first write. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #copies: CopiedBodies;

  constructor(copies: CopiedBodies) {
    this.#copies = copies;
  }

  applied(shard: ShardId, { index }: Entry, command: Command, result: ApplyResult): void {
    if (command.type === 'recall' && result.type === 'recalled') {
      const wasThere = this.#waiting.delete(key(shard, command.index));
      expect(wasThere, 'delay-recalled', () => `shard ${shard}: ${command.index} was not delayed`);
      return;
    }
    if (command.type !== 'produce' || result.type !== 'produced' || result.duplicate) return;
    if (result.baseOffset === undefined) {
      const { deliverAtMs: dueAtMs = 0, queueId } = command;
      this.#waiting.set(key(shard, index), { shard, index, queueId, dueAtMs });
    }
  }

  /** Of a batch that an entry holds: not shown yet, and not recalled. */
  waits(shard: ShardId, index: LogIndex): boolean {
    return this.#waiting.has(key(shard, index));
  }

  /** `entry` made `row` visible, by naming what is due. */
  shows(shard: ShardId, entry: Entry, row: QueueIndexRow): void {
    const first = this.#copies.firstOf(shard, row.index);
    const dueAtMs = this.#waiting.get(key(shard, first))?.dueAtMs;
    const what = `shard ${shard}: entry ${entry.index} of ${entry.timeMs} shows ${row.index}`;
    expect(dueAtMs !== undefined, 'delay-once', () => `${what}, which does not wait`);
    expect(dueAtMs! <= entry.timeMs, 'delay-early', () => `${what}, due at ${dueAtMs}`);
    this.#waiting.delete(key(shard, first));
  }

  /** Of a replica that has applied everything. */
  expectState(shard: ShardId, data: DataShard): void {
    // What was delayed for a queue goes with it.
    const kept = [...this.#waiting.values()].filter((one) => {
      return one.shard === shard && data.queue(one.queueId)?.open === true;
    });
    for (const { dueAtMs, index } of kept) {
      const found = data.delayed(index)?.dueAtMs;
      const what = () => `shard ${shard}: ${index} is due at ${dueAtMs}, not at ${found}`;
      expect(found === dueAtMs, 'delay-kept', what);
    }
    const { delayed } = data.counts();
    const what = () => `shard ${shard}: ${delayed} are delayed, not ${kept.length}`;
    expect(delayed === kept.length, 'delay-kept', what);
  }
}

function key(shard: ShardId, index: LogIndex): string {
  return `${shard}/${index}`;
}
