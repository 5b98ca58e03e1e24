/**
 * Consumer groups' committed offsets: the next offset to read, which never falls within an epoch.
 * A reset may put it anywhere and raises the group's epoch. A group begins with its first commit,
 * or with its first member. Epochs begin above those of groups that were deleted: none comes again.
 */
import type { GroupOffsetView } from './api.ts';
import { ByteReader, ByteWriter, readVersioned } from './bytes.ts';
import type { ApplyResult, QueueOffsetEntry } from './commands.ts';
import type { StateRow, StateWriter } from './state-port.ts';

interface GroupState {
  readonly name: string;
  epoch: number;
  /** Topic id → queue → committed offset. */
  readonly topics: Map<string, Map<number, number>>;
}

const VERSION = 1;
/** The row of the highest epoch of a deleted group: no group has this name. */
const DELETED = '';

export class Groups {
  readonly #groups = new Map<string, GroupState>();
  #offsetCount = 0;
  /** Highest epoch of a group that was deleted. */
  #deletedEpoch = 0;

  /** Also those that single members commit under. */
  get count(): number {
    return this.#groups.size;
  }

  get offsetCount(): number {
    return this.#offsetCount;
  }

  epoch(group: string): number | undefined {
    return this.#groups.get(group)?.epoch;
  }

  /** By queue, ascending. */
  offsets(group: string, topicId: string): GroupOffsetView[] {
    const queues = this.#groups.get(group)?.topics.get(topicId) ?? [];
    const views = Array.from(queues, ([queue, offset]) => ({ queue, offset }));
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
    return this.#groups.get(name)?.topics.get(topicId)?.get(queue);
  }

  /** All or none. */
  commit(
    name: string,
    topicId: string,
    offsets: readonly QueueOffsetEntry[],
    out: StateWriter,
  ): ApplyResult {
    const known = this.#groups.get(name);
    const committed = known?.topics.get(topicId);
    for (const { queue, offset } of offsets) {
      const current = committed?.get(queue);
      if (current === undefined || offset >= current) continue;
      const refusal = { reason: 'OFFSET_FALLS', queue, current, given: offset } as const;
      return { type: 'refused', refusal };
    }
    const group = known ?? this.#create(name, out);
    for (const { queue, offset } of offsets) {
      const current = group.topics.get(topicId)?.get(queue);
      // A queue named twice: the higher one stands.
      if (current === undefined || offset > current) this.#set(group, topicId, queue, offset, out);
    }
    return { type: 'offsets', epoch: group.epoch };
  }

  reset(
    name: string,
    topicId: string,
    offsets: readonly QueueOffsetEntry[],
    out: StateWriter,
  ): ApplyResult {
    const group = this.#groups.get(name);
    if (group === undefined) {
      return { type: 'refused', refusal: { reason: 'GROUP_NOT_FOUND', group: name } };
    }
    group.epoch += 1;
    writeGroup(group, out);
    for (const { queue, offset } of offsets) this.#set(group, topicId, queue, offset, out);
    return { type: 'offsets', epoch: group.epoch };
  }

  forgetTopic(topicId: string, out: StateWriter): void {
    for (const group of this.#groups.values()) this.#forget(group, topicId, out);
  }

  load(groups: readonly StateRow[], offsets: readonly StateRow[]): void {
    for (const { key, value } of groups) {
      const from = readVersioned(value, VERSION);
      const name = new ByteReader(key).textToEnd();
      const epoch = from.uint();
      if (name === DELETED) this.#deletedEpoch = epoch;
      else this.#groups.set(name, { name, epoch, topics: new Map() });
      from.expectEnd();
    }
    for (const { key, value } of offsets) {
      const fromKey = new ByteReader(key);
      const group = this.#groups.get(fromKey.text())!;
      const topicId = fromKey.text();
      const from = readVersioned(value, VERSION);
      this.#setInMemory(group, topicId, fromKey.u32be(), from.uint());
      from.expectEnd();
    }
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
    for (const queue of queues.keys()) {
      out.put('group-offset', offsetKey(group.name, topicId, queue), undefined);
    }
  }

  #set(group: GroupState, topicId: string, queue: number, offset: number, out: StateWriter): void {
    this.#setInMemory(group, topicId, queue, offset);
    const value = new ByteWriter(16).u8(VERSION).uint(offset).finish();
    out.put('group-offset', offsetKey(group.name, topicId, queue), value);
  }

  #setInMemory(group: GroupState, topicId: string, queue: number, offset: number): void {
    let queues = group.topics.get(topicId);
    if (queues === undefined) {
      queues = new Map();
      group.topics.set(topicId, queues);
    }
    if (!queues.has(queue)) this.#offsetCount += 1;
    queues.set(queue, offset);
  }
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
