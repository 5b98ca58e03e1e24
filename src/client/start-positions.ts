import type { Admin } from './admin.ts';
import { HoldfastError } from './errors.ts';
import type { QueueOffset } from './types.ts';

/** A time means: the first message stored at or after it. */
export type StartFrom = 'earliest' | 'latest' | Date | readonly QueueOffset[];

export interface StartQuery {
  readonly topic: string;
  readonly queues: readonly number[] | undefined;
  readonly group: string | undefined;
  readonly from: StartFrom;
}

export interface StartPosition extends QueueOffset {
  /** The queue's end when asked. */
  readonly endOffset: number;
}

/** Next offset to read, per queue. What the group committed comes first. */
export async function resolvePositions(admin: Admin, query: StartQuery): Promise<StartPosition[]> {
  const { from, topic } = query;
  const queues = query.queues ?? (Array.isArray(from) ? from.map(({ queue }) => queue) : undefined);
  const atMs = from instanceof Date ? from.getTime() : undefined;
  const ranges = await admin.listOffsets({ topic, queues, atMs });
  const committed = await committedOffsets(admin, query.group, topic, queues);
  const named = new Map(
    Array.isArray(from) ? from.map(({ queue, offset }) => [queue, offset]) : [],
  );
  return ranges.map(({ queue, startOffset, endOffset, offsetAtTime }) => {
    const start = from === 'latest' ? endOffset : (offsetAtTime ?? startOffset);
    return { queue, offset: committed.get(queue) ?? named.get(queue) ?? start, endOffset };
  });
}

async function committedOffsets(
  admin: Admin,
  group: string | undefined,
  topic: string,
  queues: readonly number[] | undefined,
): Promise<Map<number, number>> {
  const committed = new Map<number, number>();
  if (group === undefined) return committed;
  try {
    const query = queues === undefined ? { group, topic } : { group, topic, queues };
    for (const { queue, offset } of await admin.groupOffsets(query)) {
      if (offset !== undefined) committed.set(queue, offset);
    }
  } catch (error) {
    // A group exists from its first commit on.
    if (!(error instanceof HoldfastError && error.reason === 'GROUP_NOT_FOUND')) throw error;
  }
  return committed;
}
