/** Delays as requests name them: a time, or one of the levels that RocketMQ's users know. */
import type { DataShard } from '../broker/api.ts';
import { Durability } from '../broker/commands.ts';
import { DATA_SHARD_LIMITS } from '../broker/limits.ts';
import { CallError } from '../status.ts';
import type { ProduceHead } from './request-head.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;

/** Levels 1 to 18, as a RocketMQ broker has them unless it is told otherwise. */
export const DELAY_LEVELS_MS: readonly number[] = [
  ...[1, 5, 10, 30].map((seconds) => seconds * SECOND_MS),
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30].map((minutes) => minutes * MINUTE_MS),
  ...[1, 2].map((hours) => hours * HOUR_MS),
];

export const MAX_DELAY_MS = 40 * 24 * HOUR_MS;

export function isDelayed({ deliverAtMs, delayLevel }: ProduceHead): boolean {
  return deliverAtMs > 0 || delayLevel > 0;
}

/** What can be refused at sight, before a clock is asked. */
export function checkDelay(head: ProduceHead): void {
  if (!isDelayed(head)) return;
  const { deliverAtMs, delayLevel, durability } = head;
  if (deliverAtMs > 0 && delayLevel > 0) {
    throw new CallError('INVALID_REQUEST', 'deliver_at_ms and delay_level: give one of them');
  }
  if (delayLevel > DELAY_LEVELS_MS.length) {
    throw new CallError(
      'INVALID_REQUEST',
      `delay_level ${delayLevel} does not exist: there are 1 to ${DELAY_LEVELS_MS.length}. ` +
        'For any other delay give deliver_at_ms',
    );
  }
  if (head.orderingKeys !== undefined) {
    throw new CallError(
      'INVALID_REQUEST',
      'a delayed message comes behind those that were sent after it: leave ordering_keys out, ' +
        'or do not delay it',
    );
  }
  if (durability !== 0 && durability !== Durability.majorityFsync) {
    throw new CallError(
      'INVALID_REQUEST',
      'a delayed message needs durability MAJORITY_FSYNC: what waits for its time must not be lost',
    );
  }
}

/** By the leader, whose shard time decides; undefined = it is to be stored at once. */
export function deliveryTime(head: ProduceHead, nowMs: number): number | CallError | undefined {
  if (!isDelayed(head)) return undefined;
  const { deliverAtMs, delayLevel } = head;
  const atMs = delayLevel > 0 ? nowMs + DELAY_LEVELS_MS[delayLevel - 1]! : deliverAtMs;
  if (atMs - nowMs > MAX_DELAY_MS) {
    return new CallError(
      'INVALID_REQUEST',
      `deliver_at_ms is ${atMs - nowMs} ms ahead: at most ${MAX_DELAY_MS} (40 days, maxDelayMs). ` +
        'It is Unix time in milliseconds',
    );
  }
  return atMs > nowMs ? atMs : undefined;
}

/** undefined = there is room for one more delayed request. */
export function refuseDelayed(data: DataShard): CallError | undefined {
  const { maxDelayedBatches } = DATA_SHARD_LIMITS;
  if (data.counts().delayed < maxDelayedBatches) return undefined;
  return new CallError(
    'SHARD_STATE_FULL',
    `the shard holds ${maxDelayedBatches} delayed requests (maxDelayedBatches)`,
  );
}
