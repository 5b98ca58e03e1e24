/**
 * The second topic of a run: its messages are work. Producers and transactions put them there,
 * transactions consume the first queues, and groups of Deliveries take all of them.
 */
import type { InQueue } from '../history.ts';
import { type Load, TOPIC } from './load.ts';
import { random } from './produce.ts';

export const WORK_TOPIC = 'chaos-work';
export const WORK_QUEUES = 4;
/** Those below it are consumed by transactions, the others get what they make of it. */
export const INPUT_QUEUES = 2;
const KEYS = 6;

export function someKey(): string {
  return `key-${random(KEYS)}`;
}

/** A queue as nodes name it. */
export function placeOf(load: Load, topic: string, queue: number): InQueue {
  return topic === WORK_TOPIC ? { topic: load.work.id, queue } : { queue };
}

export function topicName({ topic }: InQueue): string {
  return topic === undefined ? TOPIC : WORK_TOPIC;
}
