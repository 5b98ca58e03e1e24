/**
 * Queues that are opened, used, fenced, and closed for good: then nothing enters them any more, and
 * behind the fence nothing that was picked before.
 */
import type { ShardId } from '../../../raft/types.ts';
import { Durability, type QueueId } from '../../broker/commands.ts';
import { expect } from '../failure.ts';
import { TOPIC_ID } from './groups.ts';
import type { Reply, Session } from './session.ts';

/** Far above the queues that live as long as the run. */
const FIRST_ID = 1000;
const OPEN_MAX = 2;
const THINK_MAX_MS = 500;
const BACKOFF_MAX_MS = 300;
const FENCE = 2;

interface ShortQueue {
  readonly shard: ShardId;
  readonly queueId: QueueId;
}

export class ShortQueues {
  readonly #session: Session;
  readonly #use: (shard: ShardId, queueId: QueueId) => void;
  #begun = 0;
  #open = 0;

  /** `use` sends something into the queue. */
  constructor(session: Session, use: (shard: ShardId, queueId: QueueId) => void) {
    this.#session = session;
    this.#use = use;
  }

  get isSettled(): boolean {
    return this.#open === 0;
  }

  begin(shard: ShardId): void {
    if (this.#open >= OPEN_MAX) return;
    this.#open++;
    const queue = { shard, queueId: FIRST_ID + ++this.#begun };
    this.#openIt(queue, (isOpen) => {
      expect(isOpen, 'queue-opens', () => `queue ${queue.queueId} is refused`);
      this.#use(shard, queue.queueId);
      this.#session.after(THINK_MAX_MS, () => this.#fence(queue));
    });
  }

  #fence(queue: ShortQueue): void {
    const { shard, queueId } = queue;
    this.#use(shard, queueId);
    const command = { type: 'fenceQueue', queueId, minQueueEpoch: FENCE } as const;
    this.#session.request(shard, { command }, (reply) => {
      if (reply.status !== 'applied') {
        this.#again(() => this.#fence(queue));
        return;
      }
      this.#write(queue, FENCE);
      this.#write(queue, FENCE - 1);
      this.#session.after(THINK_MAX_MS, () => {
        this.#write(queue, FENCE - 1);
        this.#close(queue);
      });
    });
  }

  /** The fence is applied: what was picked before it is refused, and nothing else. */
  #write({ shard, queueId }: ShortQueue, queueEpoch: number): void {
    const { cluster, history } = this.#session;
    const durability = Durability.majorityFsync;
    const rest = { queueId, count: 1, durability, producer: undefined, queueEpoch } as const;
    const batch = history.name('b');
    const sent = history.sends({ kind: 'plain', client: 'plain', queueId, batch, count: 1 });
    this.#session.request(shard, { command: { type: 'produce', ...rest }, batch }, (reply) => {
      if (reply.status !== 'applied') return;
      const { result } = reply;
      if (result.type === 'produced') history.acked(sent, result.baseOffset);
      else history.failed(sent);
      const reason = result.type === 'refused' ? result.refusal.reason : result.type;
      // One that was long on its way may find the queue closed.
      if (reason === 'QUEUE_NOT_OPEN') return;
      const wanted = queueEpoch < FENCE ? 'QUEUE_FENCED' : 'produced';
      expect(reason === wanted, 'fenced-queue', () => `queue ${queueId}: ${reason}`);
      if (queueEpoch < FENCE) cluster.judge.coverage.reach('fenced write refused');
    });
  }

  #openIt(queue: ShortQueue, done: (isOpen: boolean) => void): void {
    const { shard, queueId } = queue;
    const command = { type: 'openQueue', queueId, topicId: TOPIC_ID, queue: queueId } as const;
    this.#session.request(shard, { command }, (reply) => {
      if (reply.status === 'applied') done(reply.result.type === 'done');
      else this.#again(() => this.#openIt(queue, done));
    });
  }

  #close(queue: ShortQueue): void {
    const { shard, queueId } = queue;
    this.#session.request(shard, { command: { type: 'closeQueue', queueId } }, (reply) => {
      if (reply.status === 'applied') this.#closed(queue);
      else this.#again(() => this.#close(queue));
    });
  }

  /** Who is too late is refused: with messages, and with opening it. */
  #closed({ shard, queueId }: ShortQueue): void {
    const { coverage } = this.#session.cluster.judge;
    const refused = (reply: Reply): void => {
      if (reply.status !== 'applied') return;
      const isRefused = reply.result.type === 'refused';
      expect(isRefused, 'closed-queue', () => `queue ${queueId}: ${reply.result.type}`);
      coverage.reach('closed queue refused');
    };
    this.#open--;
    const durability = Durability.majorityFsync;
    const rest = { queueId, count: 1, durability, producer: undefined } as const;
    this.#session.request(shard, { command: { type: 'produce', ...rest } }, refused);
    const command = { type: 'openQueue', queueId, topicId: TOPIC_ID, queue: queueId } as const;
    this.#session.request(shard, { command }, refused);
  }

  #again(step: () => void): void {
    if (this.#session.isStopped) this.#open--;
    else this.#session.after(BACKOFF_MAX_MS, step);
  }
}
