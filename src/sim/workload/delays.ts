/**
 * Delayed messages: sent for a time that comes soon, some taken back before. Leaders show what is
 * due (sweeps.ts).
 */
import type { LogIndex, ShardId } from '../../../raft/types.ts';
import { Durability, type QueueId } from '../../broker/commands.ts';
import { expect } from '../failure.ts';
import type { SimNode } from '../node.ts';
import type { SentBatch } from './history.ts';
import type { Reply, Session } from './session.ts';

/** Requests on their way. */
const OPEN_MAX = 12;
const DELAY_MAX_MS = 2000;
const PADDING_MAX_BYTES = 100;
const RECALLED_SHARE = 0.2;

export class Delays {
  readonly #session: Session;
  /** Requests without an answer so far. */
  #open = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  get isSettled(): boolean {
    return this.#open === 0;
  }

  send(shard: ShardId, queueId: QueueId): void {
    const { history, random } = this.#session;
    const target = this.#session.target(shard);
    if (this.#open >= OPEN_MAX || target.driver === undefined) return;
    const count = random.between(1, 3);
    const batch = history.name('b');
    const sent = history.sends({ kind: 'delayed', client: 'delays', queueId, batch, count });
    const deliverAtMs = Math.max(1, reachedMs(target, shard) + random.between(-50, DELAY_MAX_MS));
    const durability = Durability.majorityFsync;
    const what = { queueId, count, durability, producer: undefined, deliverAtMs } as const;
    const request = { command: { type: 'produce', ...what }, batch } as const;
    this.#open++;
    this.#session.request(
      shard,
      { ...request, paddingBytes: random.between(0, PADDING_MAX_BYTES) },
      (reply) => this.#answered(shard, sent, reply),
      target,
    );
  }

  #answered(shard: ShardId, sent: SentBatch, reply: Reply): void {
    const { history, random } = this.#session;
    this.#open--;
    if (reply.status !== 'applied' || reply.result.type !== 'produced') {
      if (reply.status !== 'unknown') history.failed(sent);
      return;
    }
    history.acked(sent, reply.result.baseOffset);
    if (reply.result.baseOffset !== undefined || !random.chance(RECALLED_SHARE)) return;
    const { index } = reply;
    this.#session.after(DELAY_MAX_MS, () => this.#recall(shard, sent, index));
  }

  #recall(shard: ShardId, sent: SentBatch, index: LogIndex): void {
    const { history, cluster } = this.#session;
    // It may be gone from now on, whatever we hear.
    sent.outcome = 'unknown';
    this.#session.request(shard, { command: { type: 'recall', index } }, (reply) => {
      if (reply.status === 'failed') sent.outcome = 'ok';
      if (reply.status !== 'applied') return;
      const { result } = reply;
      if (result.type === 'recalled') {
        expect(result.count === sent.count, 'recalled-whole', () => `${result.count} messages`);
        cluster.judge.coverage.reach('delayed message recalled');
        history.failed(sent);
      } else sent.outcome = 'ok';
    });
  }
}

/** What the shard has surely reached: a clock that was set ahead would delay beyond the run. */
function reachedMs({ machine }: SimNode, shard: ShardId): number {
  const states = machine.life.machine;
  return states.holds(shard) ? states.timeMs(shard) : 0;
}
