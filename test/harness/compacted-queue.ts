/** One compacted queue with its log, its rows and its state; whatever is proposed is applied. */
import { EMPTY_BYTES, type Entry, EntryType } from '../../raft/types.ts';
import type { DataShard, QueueView } from '../../src/broker/api.ts';
import { encodeCommand } from '../../src/broker/command-codec.ts';
import type { ApplyResult, Command, QueueCompaction } from '../../src/broker/commands.ts';
import { isShown } from '../../src/broker/compacted-keys.ts';
import { createDataShard } from '../../src/broker/data-shard.ts';
import { keyOfMessage } from '../../src/filter/message-key.ts';
import { Compaction, type CompactionSource } from '../../src/shards/compaction.ts';
import { keptMessages } from '../../src/shards/kept-messages.ts';
import { MemoryRows } from './state-rows.ts';

export interface Keyed {
  readonly key: string;
  /** '' deletes the key. */
  readonly body: string;
}

export interface ReadMessage extends Keyed {
  readonly offset: number;
  readonly storedAtMs: number;
  /** The entry that held it first, and its position there. */
  readonly name: string;
}

const QUEUE_ID = 1;

export class CompactedQueue {
  readonly rows = new MemoryRows();
  readonly log: Entry[] = [];
  readonly damaged: string[] = [];
  state: DataShard = createDataShard(1);
  timeMs = 1000;
  readonly #compaction = new Compaction();

  constructor(compaction: QueueCompaction) {
    this.apply({ type: 'openQueue', queueId: QUEUE_ID, topicId: '7', queue: 0, compaction });
  }

  get view(): QueueView {
    return this.state.queue(QUEUE_ID)!;
  }

  apply(command: Command, payload: Uint8Array = EMPTY_BYTES): ApplyResult {
    return this.#append(encodeCommand(command), payload);
  }

  produce(messages: readonly Keyed[]): ApplyResult {
    const keys = messages.map(({ body, key }) => ({ key, isTombstone: body === '' }));
    const count = messages.length;
    const batch = { queueId: QUEUE_ID, count, durability: 1, producer: undefined, keys } as const;
    return this.apply({ type: 'produce', ...batch }, Buffer.concat(messages.map(encodeMessage)));
  }

  compact(): Promise<void> {
    return this.#compaction.run(this.source());
  }

  source(): CompactionSource {
    return {
      ...{ shard: 1, data: this.state, nowMs: this.timeMs },
      mayGoOn: () => true,
      offsetAtTime: async ({ endOffset, startOffset }, atMs) => {
        const found = this.rows.index.find(({ storedAtMs }) => storedAtMs >= atMs);
        return Math.max(startOffset, found?.baseOffset ?? endOffset);
      },
      rowsFrom: async (_, offset, limit) => {
        const at = this.rows.index.findIndex((row) => row.baseOffset + row.count > offset);
        return this.rows.index.slice(at, at + limit);
      },
      host: {
        readEntry: (_, index, done) => done(undefined, this.log[index - 1]),
        propose: (_shard, head, payload, _level, done) => {
          const result = this.#append(head, payload);
          const index = this.log.length;
          done({ status: 'applied', term: 1, index, replicas: 3, result });
        },
      },
      onDamage: (error) => this.damaged.push(error.message),
    };
  }

  /** As a reader does: through rows and entries, what is hidden left out. */
  read(): ReadMessage[] {
    const { compaction, startOffset } = this.view;
    return this.stored().filter(({ key, offset, storedAtMs }) => {
      if (offset < startOffset) return false;
      const what = { queueId: QUEUE_ID, key, offset, storedAtMs };
      return isShown(what, compaction!, this.state.compactedKeys, this.timeMs);
    });
  }

  /** All that is still in the entries that rows point at. */
  stored(): ReadMessage[] {
    return this.rows.index.flatMap((row) => {
      const entry = this.log[row.index - 1]!;
      return [...keptMessages(row, entry)].map(({ end, offset, run, start }) => {
        const { key } = keyOfMessage(entry.payload, start, end);
        const name = `${run.firstIndex}/${run.firstPosition + offset - run.offset}`;
        const body = decodeBody(entry.payload.subarray(start, end), key);
        return { key, body, offset, storedAtMs: run.storedAtMs, name };
      });
    });
  }

  #append(head: Uint8Array, payload: Uint8Array): ApplyResult {
    const place = { shard: 1, term: 1, index: this.log.length + 1, timeMs: this.timeMs };
    const entry: Entry = { ...place, type: EntryType.command, head, payload, bodyCrc: 0 };
    this.log.push(entry);
    return this.state.apply(entry, this.rows);
  }

  /** From its rows, as after a restart. */
  reload(): void {
    this.state = createDataShard(1);
    this.state.load(this.rows.rows());
  }
}

/** message := key = 1, body = 4; in the field `messages` = 1000. */
export function encodeMessage({ body, key }: Keyed): Buffer {
  const parts: Buffer[] = [];
  if (key !== '') parts.push(Buffer.from([0x0a]), lengthOf(key), Buffer.from(key));
  if (body !== '') parts.push(Buffer.from([0x22]), lengthOf(body), Buffer.from(body));
  const message = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([0xc2, 0x3e]), lengthOf(message), message]);
}

function lengthOf(what: string | Buffer): Buffer {
  const bytes: number[] = [];
  let length = Buffer.byteLength(what);
  for (; length >= 0x80; length = Math.floor(length / 0x80)) bytes.push((length % 0x80) | 0x80);
  return Buffer.from([...bytes, length]);
}

function decodeBody(field: Uint8Array, key: string): string {
  const text = Buffer.from(field).toString('utf8');
  // What the message's key leaves is the tag and length of its body, and that.
  const header = encodeMessage({ key, body: '' }).length;
  const behind = text.indexOf(key) + key.length;
  if (field.length === header) return '';
  const body = text.slice(behind + 1);
  const tail = [1, 2, 3, 4].map((bytes) => body.slice(bytes));
  return tail.find((rest) => encodeMessage({ key, body: rest }).length === field.length) ?? '?';
}
