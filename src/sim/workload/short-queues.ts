/** Queues that are opened, used and closed for good: nothing enters them any more. */
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
      this.#session.after(THINK_MAX_MS, () => {
        this.#use(shard, queue.queueId);
        this.#close(queue);
      });
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
