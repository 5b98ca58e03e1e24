/**
 * Consumer groups' committed offsets: the next offset to read, which never falls within an epoch.
 * A reset may put it anywhere and raises the group's epoch. A group begins with its first commit,
 * or with its first member. Epochs begin above those of groups that were deleted: none comes again.
 */
import type { ShardTimeMs } from '../../raft/types.ts';
import type { GroupOffsetView, PastOffsetView } from './api.ts';
import { ByteReader, ByteWriter, readVersioned } from './bytes.ts';
import type { ApplyResult, QueueOffsetEntry } from './commands.ts';
import { OFFSET_HISTORY_LEVEL } from './feature-level.ts';
import {
  decodeRecords,
  encodeRecords,
  type HistoryLimits,
  type OffsetRecord,
  recordsWith,
  stoodAt,
} from './offset-history.ts';
import type { ShardLevel } from './shard-level.ts';
import type { StateRow, StateWriter } from './state-port.ts';

/** Where a group stands in a queue, and stood before. */
interface Standing {
  present: OffsetRecord;
  records: readonly OffsetRecord[];
}

interface GroupState {
  readonly name: string;
  epoch: number;
  /** Topic id → queue → standing. */
  readonly topics: Map<string, Map<number, Standing>>;
}

const VERSION = 1;
/** Of an offset with the time at which it was committed. */
const OFFSET_VERSION = 2;
const NO_RECORDS: readonly OffsetRecord[] = [];
/** The row of the highest epoch of a deleted group: no group has this name. */
const DELETED = '';

export class Groups {
  readonly #limits: HistoryLimits;
  readonly #level: Pick<ShardLevel, 'current'>;
  readonly #groups = new Map<string, GroupState>();
  #offsetCount = 0;
  #recordCount = 0;
  /** Highest epoch of a group that was deleted. */
  #deletedEpoch = 0;

  constructor(limits: HistoryLimits, level: Pick<ShardLevel, 'current'>) {
    this.#limits = limits;
    this.#level = level;
  }

  /** Also those that single members commit under. */
  get count(): number {
    return this.#groups.size;
  }

  get offsetCount(): number {
    return this.#offsetCount;
  }

  get recordCount(): number {
    return this.#recordCount;
  }

  epoch(group: string): number | undefined {
    return this.#groups.get(group)?.epoch;
  }

  /** By queue, ascending. */
  offsets(group: string, topicId: string): GroupOffsetView[] {
    const queues = this.#groups.get(group)?.topics.get(topicId) ?? [];
    const views = Array.from(queues, ([queue, { present }]) => ({ queue, offset: present.offset }));
    return views.sort((a, b) => a.queue - b.queue);
  }

  /** By queue, ascending. */
  offsetsAt(group: string, topicId: string, atMs: ShardTimeMs): PastOffsetView[] {
    const queues = this.#groups.get(group)?.topics.get(topicId) ?? [];
    const views = Array.from(queues, ([queue, { present, records }]) => {
      const knownSinceMs = (records[0] ?? present).atMs;
      return { queue, knownSinceMs, stood: stoodAt(records, present, atMs) };
    });
    return views.sort((a, b) => a.queue - b.queue);
  }

  ensure(name: string, out: StateWriter): void {
    if (!this.#groups.has(name)) this.#create(name, out);
  }

  names(): IterableIterator<string> {
    return this.#groups.keys();
  }

  /** Ids of the topics that it committed on, ascending. */
  topicIds(group: string): string[] {
    return [...(this.#groups.get(group)?.topics.keys() ?? [])].sort();
  }

  /** With all that it committed. */
  drop(name: string, out: StateWriter): void {
    const group = this.#groups.get(name);
    if (group === undefined) return;
    for (const topicId of [...group.topics.keys()]) this.#forget(group, topicId, out);
    this.#groups.delete(name);
    out.put('group', groupKey(name), undefined);
    this.#deletedEpoch = Math.max(this.#deletedEpoch, group.epoch);
    out.put('group', groupKey(DELETED), encodeEpoch(this.#deletedEpoch));
  }

  offset(name: string, topicId: string, queue: number): number | undefined {
    return this.#groups.get(name)?.topics.get(topicId)?.get(queue)?.present.offset;
  }

  /** All or none. */
  commit(
    name: string,
    topicId: string,
    offsets: readonly QueueOffsetEntry[],
    nowMs: ShardTimeMs,
    out: StateWriter,
  ): ApplyResult {
    const known = this.#groups.get(name);
    const committed = known?.topics.get(topicId);
    for (const { queue, offset } of offsets) {
      const current = committed?.get(queue)?.present.offset;
      if (current === undefined || offset >= current) continue;
      const refusal = { reason: 'OFFSET_FALLS', queue, current, given: offset } as const;
      return { type: 'refused', refusal };
    }
    const group = known ?? this.#create(name, out);
    for (const { queue, offset } of offsets) {
      const current = group.topics.get(topicId)?.get(queue)?.present.offset;
      // A queue named twice: the higher one stands.
      if (current !== undefined && offset <= current) continue;
      this.#set(group, topicId, queue, this.#record(offset, nowMs), out);
    }
    return { type: 'offsets', epoch: group.epoch };
  }

  reset(
    name: string,
    topicId: string,
    offsets: readonly QueueOffsetEntry[],
    nowMs: ShardTimeMs,
    out: StateWriter,
  ): ApplyResult {
    const group = this.#groups.get(name);
    if (group === undefined) {
      return { type: 'refused', refusal: { reason: 'GROUP_NOT_FOUND', group: name } };
    }
    group.epoch += 1;
    writeGroup(group, out);
    for (const { queue, offset } of offsets) {
      this.#set(group, topicId, queue, this.#record(offset, nowMs), out);
    }
    return { type: 'offsets', epoch: group.epoch };
  }

  forgetTopic(topicId: string, out: StateWriter): void {
    for (const group of this.#groups.values()) this.#forget(group, topicId, out);
  }

  load(
    groups: readonly StateRow[],
    offsets: readonly StateRow[],
    records: readonly StateRow[],
  ): void {
    for (const { key, value } of groups) {
      const from = readVersioned(value, VERSION);
      const name = new ByteReader(key).textToEnd();
      const epoch = from.uint();
      if (name === DELETED) this.#deletedEpoch = epoch;
      else this.#groups.set(name, { name, epoch, topics: new Map() });
      from.expectEnd();
    }
    for (const { key, value } of offsets) {
      const present = readPresent(value);
      this.#keep(...this.#placeOf(key), { present, records: NO_RECORDS });
    }
    for (const { key, value } of records) {
      const [group, topicId, queue] = this.#placeOf(key);
      const { present } = group.topics.get(topicId)!.get(queue)!;
      this.#keep(group, topicId, queue, { present, records: decodeRecords(value) });
    }
  }

  #placeOf(key: Uint8Array): [group: GroupState, topicId: string, queue: number] {
    const from = new ByteReader(key);
    const group = this.#groups.get(from.text())!;
    return [group, from.text(), from.u32be()];
  }

  #create(name: string, out: StateWriter): GroupState {
    const group: GroupState = { name, epoch: this.#deletedEpoch + 1, topics: new Map() };
    this.#groups.set(name, group);
    writeGroup(group, out);
    return group;
  }

  #forget(group: GroupState, topicId: string, out: StateWriter): void {
    const queues = group.topics.get(topicId);
    if (queues === undefined) return;
    group.topics.delete(topicId);
    this.#offsetCount -= queues.size;
    for (const [queue, { records }] of queues) {
      const key = offsetKey(group.name, topicId, queue);
      out.put('group-offset', key, undefined);
      if (records.length > 0) out.put('offset-history', key, undefined);
      this.#recordCount -= records.length;
    }
  }

  #set(
    group: GroupState,
    topicId: string,
    queue: number,
    present: OffsetRecord,
    out: StateWriter,
  ): void {
    const before = group.topics.get(topicId)?.get(queue);
    if (before?.present.offset === present.offset) return;
    const records = before === undefined ? NO_RECORDS : this.#recordsAfter(before, present.atMs);
    this.#keep(group, topicId, queue, { present, records });
    const key = offsetKey(group.name, topicId, queue);
    out.put('group-offset', key, encodePresent(present));
    if (before === undefined || records === before.records) return;
    out.put('offset-history', key, encodeRecords(records));
  }

  /** Below its level nothing is written that an earlier build cannot read. */
  #record(offset: number, nowMs: ShardTimeMs): OffsetRecord {
    return { offset, atMs: this.#level.current < OFFSET_HISTORY_LEVEL ? 0 : nowMs };
  }

  #recordsAfter({ present, records }: Standing, nowMs: ShardTimeMs): readonly OffsetRecord[] {
    const after = recordsWith(records, present, nowMs, this.#limits);
    const added = after.length - records.length;
    if (added <= 0 || this.#recordCount + added <= this.#limits.maxOffsetRecords) return after;
    return records.length === 0 ? records : after.slice(added);
  }

  #keep(group: GroupState, topicId: string, queue: number, standing: Standing): void {
    let queues = group.topics.get(topicId);
    if (queues === undefined) {
      queues = new Map();
      group.topics.set(topicId, queues);
    }
    const before = queues.get(queue);
    if (before === undefined) this.#offsetCount += 1;
    this.#recordCount += standing.records.length - (before?.records.length ?? 0);
    queues.set(queue, standing);
  }
}

function encodePresent({ atMs, offset }: OffsetRecord): Uint8Array {
  const value = new ByteWriter(16).u8(atMs === 0 ? VERSION : OFFSET_VERSION).uint(offset);
  if (atMs > 0) value.uint(atMs);
  return value.finish();
}

/** Those that were written below the level of histories have no time. */
function readPresent(value: Uint8Array): OffsetRecord {
  const isTimed = value[0] === OFFSET_VERSION;
  const from = readVersioned(value, isTimed ? OFFSET_VERSION : VERSION);
  const present = { offset: from.uint(), atMs: isTimed ? from.uint() : 0 };
  from.expectEnd();
  return present;
}

function writeGroup(group: GroupState, out: StateWriter): void {
  out.put('group', groupKey(group.name), encodeEpoch(group.epoch));
}

function encodeEpoch(epoch: number): Uint8Array {
  return new ByteWriter(16).u8(VERSION).uint(epoch).finish();
}

function groupKey(name: string): Uint8Array {
  return new ByteWriter(64).textToEnd(name).finish();
}

function offsetKey(group: string, topicId: string, queue: number): Uint8Array {
  return new ByteWriter(64).text(group).text(topicId).u32be(queue).finish();
}
