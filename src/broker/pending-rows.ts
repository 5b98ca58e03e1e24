/** A pending message in memory and as a row of the table 'pending-delivery'. */
import type { Entry, LogIndex, ShardTimeMs } from '../../raft/types.ts';
import { ByteReader, ByteWriter, FormatError, readVersioned } from './bytes.ts';
import type { QueueId, StoredAt } from './commands.ts';
import type { FreshMessage, MessagePlace } from './delivery-commands.ts';
import type { Due } from './due-heap.ts';
import type { StateRow, StateWriter } from './state-port.ts';

/** A message that was given to a consumer of the group, or passed over, and is not decided yet. */
export interface PendingView extends MessagePlace {
  readonly offset: number;
  readonly keyHash: number;
  /** Leases so far; 0 = none yet: another message of its key comes first, or it was sent again. */
  readonly attempt: number;
  /** False: it waits for its next attempt. A lease that has run out is free, but stays leased. */
  readonly isLeased: boolean;
  /** Of the current or last lease; 0 = none yet. */
  readonly token: LogIndex;
  readonly consumer: string;
  /** End of the lease, or of the wait: from then on it may be given. */
  readonly dueAtMs: ShardTimeMs;
}

export interface Pending extends PendingView, Due {
  /** Orders what falls due at the same time: by offset. */
  readonly id: { readonly index: number };
  readonly group: string;
  readonly queueId: QueueId;
  /** The entry that made it pending: orders the messages of a key. */
  readonly since: LogIndex;
  at: StoredAt;
  attempt: number;
  isLeased: boolean;
  token: LogIndex;
  consumer: string;
  dueAtMs: ShardTimeMs;
}

const VERSION = 1;

/** Pending, free at once, and not given to anybody yet. */
export function newPending(
  { group, queueId }: Pick<Pending, 'group' | 'queueId'>,
  offset: number,
  { at, position, firstIndex, storedAtMs, keyHash }: FreshMessage,
  entry: Entry,
): Pending {
  return {
    ...{ group, queueId, offset, at, position, firstIndex, storedAtMs, keyHash },
    id: { index: offset },
    since: entry.index,
    attempt: 0,
    isLeased: false,
    token: 0,
    consumer: '',
    dueAtMs: entry.timeMs,
    heapPosition: -1,
  };
}

export function deliveryKey(group: string, queueId: QueueId, offset: number): Uint8Array {
  return new ByteWriter(64).text(group).u32be(queueId).u64be(offset).finish();
}

export function readDeliveryKey(key: Uint8Array): {
  group: string;
  queueId: QueueId;
  offset: number;
} {
  const from = new ByteReader(key);
  return { group: from.text(), queueId: from.u32be(), offset: from.u64be() };
}

export function writePlace(place: MessagePlace, row: ByteWriter): void {
  const { at, position, firstIndex, storedAtMs } = place;
  row
    .uint(at.term)
    .uint(at.index)
    .uint(at.index - firstIndex)
    .uint(position)
    .uint(storedAtMs);
}

export function readPlace(from: ByteReader): MessagePlace {
  const at = { term: from.uint(), index: from.uint() };
  const firstIndex = at.index - from.uint();
  if (firstIndex < 0) throw new FormatError('a message older than the log');
  return { at, firstIndex, position: from.uint(), storedAtMs: from.uint() };
}

export function putPending(pending: Pending, out: StateWriter): void {
  const row = new ByteWriter(64).u8(VERSION).u8(pending.isLeased ? 1 : 0);
  writePlace(pending, row);
  row.uint(pending.keyHash).uint(pending.since).uint(pending.attempt).uint(pending.token);
  row.uint(pending.dueAtMs).text(pending.consumer);
  const { group, queueId, offset } = pending;
  out.put('pending-delivery', deliveryKey(group, queueId, offset), row.finish());
}

export function deletePending({ group, queueId, offset }: Pending, out: StateWriter): void {
  out.put('pending-delivery', deliveryKey(group, queueId, offset), undefined);
}

export function readPending({ key, value }: StateRow): Pending {
  const name = readDeliveryKey(key);
  const from = readVersioned(value, VERSION);
  const isLeased = from.u8() === 1;
  const pending: Pending = {
    ...name,
    id: { index: name.offset },
    isLeased,
    ...readPlace(from),
    keyHash: from.uint(),
    since: from.uint(),
    attempt: from.uint(),
    token: from.uint(),
    dueAtMs: from.uint(),
    consumer: from.text(),
    heapPosition: -1,
  };
  from.expectEnd();
  return pending;
}
