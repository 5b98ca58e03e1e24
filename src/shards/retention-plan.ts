/** What retention would take from a queue now, or under other settings, without taking it. */
import type { QueueView } from '../broker/api.ts';
import { findStart, type StartSource } from './retention.ts';

export interface QueuePlan {
  readonly startOffset: number;
  readonly endOffset: number;
  /** Stored in what is kept. The oldest batch counts only where nothing went before it. */
  readonly bytes: number;
  /** When the oldest message kept became visible; 0 = the queue is empty. */
  readonly oldestAtMs: number;
  /** Where the queue would begin. */
  readonly newStartOffset: number;
  readonly goingBytes: number;
}

export async function planQueue(source: StartSource, queue: QueueView): Promise<QueuePlan> {
  const { cumulativeBytes, endOffset, queueId, startOffset } = queue;
  const nothing = { startOffset, endOffset, newStartOffset: startOffset, goingBytes: 0 };
  try {
    const first = await source.rowAt(queueId, startOffset);
    if (first === undefined) return { ...nothing, bytes: 0, oldestAtMs: 0 };
    const before = startOffset === 0 ? 0 : first.cumulativeBytes;
    const kept = { bytes: cumulativeBytes - before, oldestAtMs: first.storedAtMs };
    const { startOffset: newStartOffset = startOffset } = (await findStart(source, queue)) ?? {};
    if (newStartOffset === startOffset) return { ...nothing, ...kept };
    const lastGoing = await source.rowAt(queueId, newStartOffset - 1);
    const goingBytes = lastGoing!.cumulativeBytes - before;
    return { ...nothing, ...kept, newStartOffset, goingBytes };
  } catch (error) {
    // Rows that went meanwhile: what is left of the queue is looked at.
    if (queue.startOffset === startOffset) throw error;
    return planQueue(source, queue);
  }
}
