/** Behind a fence nothing new is taken that was picked before it (src/broker/queues.ts). */
import type { Entry } from '../../../raft/types.ts';
import type { ApplyResult, Command, QueueId } from '../../broker/commands.ts';
import { expect } from '../failure.ts';

export class FencedQueues {
  readonly #fences = new Map<QueueId, number>();

  applied({ index }: Pick<Entry, 'index'>, command: Command, result: ApplyResult): void {
    if (command.type === 'fenceQueue') {
      const known = this.#fences.get(command.queueId) ?? 0;
      this.#fences.set(command.queueId, Math.max(known, command.minQueueEpoch));
      return;
    }
    const { type } = command;
    if (type !== 'produce' && type !== 'prepare' && type !== 'preparePart') return;
    const fence = this.#fences.get(command.queueId) ?? 0;
    const isOld = (command.queueEpoch ?? 0) < fence;
    const what = () => `entry ${index}: ${type} of epoch ${command.queueEpoch} behind ${fence}`;
    expect(!isOld || !isNew(index, result), 'fenced-write', what);
  }
}

function isNew(index: number, result: ApplyResult): boolean {
  if (result.type === 'partPrepared') return result.at.index === index;
  const isTaken = result.type === 'produced' || result.type === 'prepared';
  return isTaken && !result.duplicate;
}
