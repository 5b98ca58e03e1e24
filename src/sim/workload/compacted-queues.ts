/**
 * A compacted queue per shard: few keys that are written again and again, some messages that delete
 * theirs, and some that such a queue must not take.
 */
import type { ShardId } from '../../../raft/types.ts';
import { type Command, Durability, type MessageKey, type QueueId } from '../../broker/commands.ts';
import { expect } from '../failure.ts';
import { CompactedReaders } from './compacted-readers.ts';
import { Compactions } from './compactions.ts';
import type { SentBatch } from './history.ts';
import type { Reply, Session } from './session.ts';
import { messageBytes } from './values.ts';

/** Above the plain queues, below the short ones. */
const FIRST_ID = 100;
export const COMPACTED_TOPIC_ID = '8';
const KEYS = 6;
const COUNT_MAX = 3;
const BURST_MAX = 5;
const TOMBSTONE_SHARE = 0.25;
const WRONG_SHARE = 0.05;
/** Both sides of each are to be reached. */
const MIN_LAGS_MS = [0, 200, 1000];
const TOMBSTONES_MS = [0, 300, 2000];
const THINK_MAX_MS = 1500;
const TRIM_MAX_MS = 2500;
const LOOKS = 2;
const OPEN_AGAIN_MS = 300;

export function compactedQueueOf(shard: ShardId): QueueId {
  return FIRST_ID + shard;
}

export class CompactedQueues {
  readonly #session: Session;
  readonly #compactions: Compactions;
  readonly #readers: CompactedReaders;
  readonly #trim: (shard: ShardId) => void;
  #unopened = 0;

  /** `trim` gives up what nothing needs any more. */
  constructor(session: Session, trim: (shard: ShardId) => void) {
    this.#session = session;
    this.#trim = trim;
    this.#compactions = new Compactions(session);
    this.#readers = new CompactedReaders(session);
  }

  get isSettled(): boolean {
    const isDone = this.#compactions.isSettled && this.#readers.isSettled;
    return this.#unopened === 0 && isDone;
  }

  start(shards: readonly ShardId[]): void {
    const { random } = this.#session;
    for (const shard of shards) {
      const compaction = {
        minLagMs: random.pick(MIN_LAGS_MS),
        tombstoneMs: random.pick(TOMBSTONES_MS),
      };
      const what = { queueId: compactedQueueOf(shard), topicId: COMPACTED_TOPIC_ID, queue: 0 };
      this.#unopened++;
      this.#open(shard, { type: 'openQueue', ...what, compaction });
    }
  }

  /** Writes, and soon after what is there is compacted, read, and some of the log given up. */
  act(shard: ShardId): void {
    const { random } = this.#session;
    for (let left = random.between(1, BURST_MAX); left > 0; left--) this.#send(shard);
    if (random.chance(WRONG_SHARE)) this.#sendWrong(shard);
    for (let left = LOOKS; left > 0; left--) {
      this.#session.after(THINK_MAX_MS, () => this.#compactions.compact(shard));
      this.#session.after(THINK_MAX_MS, () => this.#readers.read(shard));
    }
    this.#session.after(TRIM_MAX_MS, () => this.#trim(shard));
  }

  /** Once more, when nothing is written any more. */
  compactAll(shards: readonly ShardId[]): void {
    for (const shard of shards) this.#compactions.compact(shard);
  }

  readAll(shards: readonly ShardId[]): void {
    this.#readers.readAll(shards);
  }

  #open(shard: ShardId, command: Extract<Command, { type: 'openQueue' }>): void {
    this.#session.request(shard, { command }, (reply) => {
      if (reply.status === 'applied') this.#unopened--;
      else this.#session.after(OPEN_AGAIN_MS, () => this.#open(shard, command));
    });
  }

  #send(shard: ShardId): void {
    const { history, random } = this.#session;
    const queueId = compactedQueueOf(shard);
    const batch = history.name('b');
    const keys = Array.from({ length: random.between(1, COUNT_MAX) }, () => this.#key());
    const count = keys.length;
    const sent = history.sends({ kind: 'plain', client: 'compacted', queueId, batch, count });
    const messages = keys.map(({ isTombstone, key }, at) =>
      messageBytes(key, isTombstone ? '' : `${batch}.${at}`),
    );
    const durability = Durability.majorityFsync;
    const what = { queueId, count, durability, producer: undefined, keys } as const;
    this.#session.request(
      shard,
      { command: { type: 'produce', ...what }, batch, messages: Buffer.concat(messages) },
      (reply) => this.#answered(sent, reply),
    );
  }

  #key(): MessageKey {
    const { random } = this.#session;
    return { key: `k${random.between(1, KEYS)}`, isTombstone: random.chance(TOMBSTONE_SHARE) };
  }

  #answered(sent: SentBatch, reply: Reply): void {
    const { history } = this.#session;
    if (reply.status === 'unknown') return;
    if (reply.status === 'applied' && reply.result.type === 'produced') {
      history.acked(sent, reply.result.baseOffset);
    } else history.failed(sent);
  }

  /** Without a key, or for later. */
  #sendWrong(shard: ShardId): void {
    const { cluster, random } = this.#session;
    const queueId = compactedQueueOf(shard);
    const isDelayed = random.chance(0.5);
    const delay = isDelayed ? { deliverAtMs: 1, keys: [this.#key()] } : {};
    const durability = Durability.majorityFsync;
    const what = { queueId, count: 1, durability, producer: undefined, ...delay } as const;
    this.#session.request(shard, { command: { type: 'produce', ...what } }, (reply) => {
      if (reply.status !== 'applied') return;
      const { result } = reply;
      const reason = result.type === 'refused' ? result.refusal.reason : result.type;
      if (reason === 'QUEUE_NOT_OPEN') return;
      const wanted = isDelayed ? 'TOPIC_COMPACTED' : 'KEY_REQUIRED';
      expect(reason === wanted, 'compacted-keys', () => `queue ${queueId}: ${reason}`);
      cluster.judge.coverage.reach('message for a compacted queue refused');
    });
  }
}
