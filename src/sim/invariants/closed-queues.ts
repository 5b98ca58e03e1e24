/** A closed queue stays closed (internals rule 7): nothing becomes visible in it any more. */
import type { QueueId } from '../../broker/commands.ts';
import type { QueueIndexRow } from '../../broker/state-port.ts';
import { expect } from '../failure.ts';

export class ClosedQueues {
  readonly #closed = new Set<QueueId>();

  closes(queueId: QueueId): void {
    this.#closed.add(queueId);
  }

  shows({ queueId, baseOffset }: Pick<QueueIndexRow, 'queueId' | 'baseOffset'>): void {
    const isOpen = !this.#closed.has(queueId);
    expect(isOpen, 'closed-queue', () => `queue ${queueId} is closed and shows ${baseOffset}`);
  }
}
