/** Topics in memory and as rows of the table 'topic', with their indexes by name and id. */
import type { ShardTimeMs } from '../../raft/types.ts';
import type { StateRow, StateWriter } from '../broker/state-port.ts';
import type { PendingTopic, TopicConfig, TopicQueue, TopicView } from './api.ts';
import {
  asRecord,
  decodeConfig,
  decodeVersionedJson,
  encodeVersionedJson,
  MetaFormatError,
  ownerOf,
  record,
  text,
  uint,
} from './meta-codec.ts';

/** Replaced as a whole when it changes. */
export interface TopicRecord {
  readonly name: string;
  readonly topicId: string;
  readonly queueEpoch: number;
  readonly minQueueEpoch: number;
  readonly isFenced: boolean;
  readonly config: TopicConfig;
  readonly createdAtMs: ShardTimeMs;
  readonly owner?: string;
  readonly state: TopicView['state'];
  /** All that were ever placed, also those not open yet. */
  readonly queues: readonly TopicQueue[];
  /** The first so many are open to everybody. */
  readonly openCount: number;
}

const STATES = ['creating', 'active', 'deleting'] as const;

export class Topics {
  readonly #byId = new Map<string, TopicRecord>();
  readonly #views = new Map<string, TopicView>();
  readonly #idByName = new Map<string, string>();
  /** Ascending by code units. Topics being deleted still hold their name here. */
  readonly #names: string[] = [];
  readonly #pendingIds = new Set<string>();
  readonly #countByOwner = new Map<string, number>();

  reset(): void {
    this.#byId.clear();
    this.#views.clear();
    this.#idByName.clear();
    this.#names.length = 0;
    this.#pendingIds.clear();
    this.#countByOwner.clear();
  }

  get count(): number {
    return this.#byId.size;
  }

  /** Also those that are being deleted: they are there until they are gone. */
  countOf(owner: string): number {
    return this.#countByOwner.get(owner) ?? 0;
  }

  byName(name: string): TopicRecord | undefined {
    const topicId = this.#idByName.get(name);
    return topicId === undefined ? undefined : this.#byId.get(topicId);
  }

  byId(topicId: string): TopicRecord | undefined {
    return this.#byId.get(topicId);
  }

  view(topicId: string): TopicView | undefined {
    return this.#views.get(topicId);
  }

  viewByName(name: string): TopicView | undefined {
    const topicId = this.#idByName.get(name);
    return topicId === undefined ? undefined : this.#views.get(topicId);
  }

  /** Not those being deleted. */
  viewsAfter(after: string, limit: number): TopicView[] {
    const views: TopicView[] = [];
    let at = this.#firstNameAbove(after);
    for (; at < this.#names.length && views.length < limit; at += 1) {
      const view = this.viewByName(this.#names[at]!);
      if (view !== undefined && view.state !== 'deleting') views.push(view);
    }
    return views;
  }

  all(): Iterable<TopicRecord> {
    return this.#byId.values();
  }

  pending(): PendingTopic[] {
    return Array.from(this.#pendingIds, (topicId) => pendingOf(this.#byId.get(topicId)!));
  }

  put(topic: TopicRecord, out: StateWriter): TopicView {
    const view = this.#putInMemory(topic);
    out.put('topic', topicKey(topic.topicId), encodeVersionedJson(topic));
    return view;
  }

  remove(topic: TopicRecord, out: StateWriter): void {
    this.#byId.delete(topic.topicId);
    this.#countOwned(topic, -1);
    this.#views.delete(topic.topicId);
    this.#pendingIds.delete(topic.topicId);
    this.#idByName.delete(topic.name);
    this.#names.splice(this.#firstNameAbove(topic.name) - 1, 1);
    out.put('topic', topicKey(topic.topicId), undefined);
  }

  load(rows: readonly StateRow[]): void {
    const topics = rows.map((row) => readTopic(row));
    // As created: an id is a log index.
    topics.sort((a, b) => Number(a.topicId) - Number(b.topicId));
    for (const topic of topics) this.#putInMemory(topic);
  }

  #putInMemory(topic: TopicRecord): TopicView {
    const { name, topicId } = topic;
    if (!this.#idByName.has(name)) this.#names.splice(this.#firstNameAbove(name), 0, name);
    this.#idByName.set(name, topicId);
    if (!this.#byId.has(topicId)) this.#countOwned(topic, 1);
    this.#byId.set(topicId, topic);
    if (isPending(topic)) this.#pendingIds.add(topicId);
    else this.#pendingIds.delete(topicId);
    const view = viewOf(topic);
    this.#views.set(topicId, view);
    return view;
  }

  #countOwned({ owner }: TopicRecord, step: 1 | -1): void {
    if (owner === undefined) return;
    const count = this.countOf(owner) + step;
    if (count === 0) this.#countByOwner.delete(owner);
    else this.#countByOwner.set(owner, count);
  }

  #firstNameAbove(name: string): number {
    let low = 0;
    let high = this.#names.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#names[middle]! > name) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

export function isGrowing(topic: TopicRecord): boolean {
  return topic.openCount < topic.queues.length;
}

export function refusesWrites({ config }: Pick<TopicRecord, 'config'>): boolean {
  return config.writes === 'refused';
}

function isPending(topic: TopicRecord): boolean {
  return topic.state !== 'active' || isGrowing(topic) || !topic.isFenced;
}

function pendingOf(topic: TopicRecord): PendingTopic {
  const { topicId, queues, minQueueEpoch } = topic;
  const { compaction } = topic.config;
  if (topic.state === 'deleting') return { phase: 'close', topicId, queues };
  if (!isGrowing(topic)) return { phase: 'fence', topicId, minQueueEpoch, queues };
  const toOpen = queues.slice(topic.openCount);
  return { phase: 'open', topicId, compaction, queueCount: queues.length, queues: toOpen };
}

function viewOf(topic: TopicRecord): TopicView {
  const { openCount, queues, ...shown } = topic;
  return Object.freeze({ ...shown, queues: Object.freeze(queues.slice(0, openCount)) });
}

function topicKey(topicId: string): Uint8Array {
  return new Uint8Array(Buffer.from(topicId, 'utf8'));
}

export function readTopic({ value }: StateRow): TopicRecord {
  const fields = decodeVersionedJson(value);
  const state = STATES.find((known) => known === fields.state);
  const queues = fields.queues;
  if (state === undefined || !Array.isArray(queues)) throw new MetaFormatError('not a topic');
  return {
    name: text(fields, 'name'),
    topicId: text(fields, 'topicId'),
    queueEpoch: uint(fields, 'queueEpoch'),
    // Earlier builds did not write it.
    minQueueEpoch: fields.minQueueEpoch === undefined ? 0 : uint(fields, 'minQueueEpoch'),
    isFenced: fields.isFenced !== false,
    config: decodeConfig(record(fields, 'config')),
    createdAtMs: uint(fields, 'createdAtMs'),
    ...ownerOf(fields),
    state,
    queues: queues.map(readQueue),
    openCount: uint(fields, 'openCount'),
  };
}

function readQueue(value: unknown): TopicQueue {
  const fields = asRecord(value);
  return {
    queue: uint(fields, 'queue'),
    queueId: uint(fields, 'queueId'),
    shard: uint(fields, 'shard'),
  };
}
