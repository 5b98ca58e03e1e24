/**
 * Delayed messages (reliability P19): they stand in a queue since an entry of their time or later
 * named them, once, and never after they were recalled.
 */
import type { Entry, LogIndex, ShardId, ShardTimeMs } from '../../../raft/types.ts';
import type { ApplyResult, Command } from '../../broker/commands.ts';
import type { QueueIndexRow } from '../../broker/state-port.ts';
import { expect } from '../failure.ts';
import type { CopiedBodies } from './copied-bodies.ts';

export class DelayHidden {
  /** By shard and the index of their first write: the time of those that wait. */
  readonly #waiting = new Map<string, ShardTimeMs>();
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
      this.#waiting.set(key(shard, index), command.deliverAtMs ?? 0);
    }
  }

  /** Of a batch that an entry holds: not shown yet, and not recalled. */
  waits(shard: ShardId, index: LogIndex): boolean {
    return this.#waiting.has(key(shard, index));
  }

  /** `entry` made `row` visible, by naming what is due. */
  shows(shard: ShardId, entry: Entry, row: QueueIndexRow): void {
    const first = this.#copies.firstOf(shard, row.index);
    const dueAtMs = this.#waiting.get(key(shard, first));
    const what = `shard ${shard}: entry ${entry.index} of ${entry.timeMs} shows ${row.index}`;
    expect(dueAtMs !== undefined, 'delay-once', () => `${what}, which does not wait`);
    expect(dueAtMs! <= entry.timeMs, 'delay-early', () => `${what}, due at ${dueAtMs}`);
    this.#waiting.delete(key(shard, first));
  }
}

function key(shard: ShardId, index: LogIndex): string {
  return `${shard}/${index}`;
}
