/** Where a group stood at a time, and groups that begin there. */
import { int, list, optionalInt } from './convert.ts';
import type { WireObject } from './proto.ts';

export interface GroupAtQuery {
  readonly group: string;
  readonly at: Date;
  /** Default: all that the group commits on. */
  readonly topic?: string | undefined;
  /** Whose, in a BROADCAST group. */
  readonly memberId?: string | undefined;
}

export interface GroupPast {
  readonly queues: readonly PastOffset[];
  readonly totalLag: number;
}

export interface PastOffset {
  readonly topic: string;
  readonly queue: number;
  /** undefined = nothing was committed then, or that is before `knownSinceMs`. */
  readonly offset: number | undefined;
  /** From then on it stood at `offset`; up to the time asked for it may have gone further. */
  readonly recordedAtMs: number | undefined;
  /** undefined = the past is not known. */
  readonly knownSinceMs: number | undefined;
  readonly startOffset: number;
  /** Where the queue ended then. */
  readonly endOffset: number;
  readonly lag: number;
}

export interface ForkGroup extends GroupAtQuery {
  readonly newGroup: string;
}

export interface ForkedOffset {
  readonly topic: string;
  readonly queue: number;
  /** Where the new group begins: above `recordedOffset` where retention took messages since. */
  readonly offset: number;
  readonly recordedOffset: number;
  readonly recordedAtMs: number;
}

export function groupAtOut({ at, group, memberId = '', topic = '' }: GroupAtQuery): WireObject {
  return { group, at_ms: String(at.getTime()), topic, member_id: memberId };
}

export function groupPast(from: WireObject): GroupPast {
  const queues = list(from.queues).map((queue) => ({
    topic: String(queue.topic),
    queue: int(queue.queue),
    offset: optionalInt(queue, 'offset'),
    recordedAtMs: int(queue.recorded_at_ms) || undefined,
    knownSinceMs: int(queue.known_since_ms) || undefined,
    startOffset: int(queue.start_offset),
    endOffset: int(queue.end_offset),
    lag: int(queue.lag),
  }));
  return { queues, totalLag: int(from.total_lag) };
}

export function forkedOffset(from: WireObject): ForkedOffset {
  return {
    topic: String(from.topic),
    queue: int(from.queue),
    offset: int(from.offset),
    recordedOffset: int(from.recorded_offset),
    recordedAtMs: int(from.recorded_at_ms),
  };
}
