/** Dense offsets (reliability P6, P12): a queue gives its offsets once, in order, without holes. */
import type { QueueId } from '../../broker/commands.ts';
import type { QueueIndexRow } from '../../broker/state-port.ts';
import { expect } from '../failure.ts';

export class DenseOffsets {
  readonly #next = new Map<QueueId, number>();

  shows({ queueId, baseOffset, count }: QueueIndexRow): void {
    const next = this.#next.get(queueId) ?? 0;
    const is = baseOffset === next && count > 0;
    expect(is, 'dense-offsets', () => `queue ${queueId}: ${count} at ${baseOffset}, not ${next}`);
    this.#next.set(queueId, next + count);
  }
}
