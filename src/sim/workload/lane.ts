/**
 * An idempotent producer on one queue: requests carry sequences, several are under way at once, and
 * what was not acknowledged is sent again, in order, until it is.
 */
import type { ShardId } from '../../../raft/types.ts';
import { Durability, type QueueId, type Refusal } from '../../broker/commands.ts';
import { SimFailure } from '../failure.ts';
import type { SentBatch } from './history.ts';
import type { Reply, Session } from './session.ts';

interface Pending {
  /** Of all requests of the lane, from 0. */
  readonly number: number;
  readonly sequence: number;
  readonly sent: SentBatch;
  isUnderWay: boolean;
}

const PENDING_MAX = 8;
/** From the oldest that is pending; the dedup window remembers more: it is always recognised. */
const NUMBERS_AHEAD_MAX = 48;
const COUNT_MAX = 3;
const BACKOFF_MAX_MS = 400;
const PADDING_MAX_BYTES = 60;

export class Lane {
  readonly #session: Session;
  readonly #shard: ShardId;
  readonly #queueId: QueueId;
  readonly #producerId: string;
  #pending: Pending[] = [];
  #nextSequence = 0;
  #nextNumber = 0;
  #isWaiting = false;

  constructor(session: Session, shard: ShardId, queueId: QueueId) {
    this.#session = session;
    this.#shard = shard;
    this.#queueId = queueId;
    this.#producerId = `lane-${queueId}`;
  }

  get isSettled(): boolean {
    return this.#pending.length === 0;
  }

  send(): void {
    const oldest = this.#pending[0]?.number ?? this.#nextNumber;
    const isAhead = this.#nextNumber - oldest >= NUMBERS_AHEAD_MAX;
    if (isAhead || this.#pending.length >= PENDING_MAX) return;
    const { history, random } = this.#session;
    const count = random.between(1, COUNT_MAX);
    const sent = history.sends({
      kind: 'idempotent',
      client: this.#producerId,
      queueId: this.#queueId,
      batch: history.name('b'),
      count,
    });
    const number = this.#nextNumber++;
    const pending = { number, sequence: this.#nextSequence, sent, isUnderWay: false };
    this.#nextSequence += count;
    this.#pending.push(pending);
    if (!this.#isWaiting) this.#attempt(pending);
  }

  #attempt(pending: Pending, target = this.#session.target(this.#shard)): void {
    const { sequence, sent } = pending;
    const producer = { producerId: this.#producerId, producerEpoch: 1, sequence };
    const durability = Durability.majorityFsync;
    const { queueId, batch, count } = sent;
    const command = { type: 'produce', queueId, count, durability, producer } as const;
    const paddingBytes = this.#session.random.between(0, PADDING_MAX_BYTES);
    pending.isUnderWay = true;
    const done = (reply: Reply): void => this.#replied(pending, reply);
    this.#session.request(this.#shard, { command, batch, paddingBytes }, done, target);
  }

  #replied(pending: Pending, reply: Reply): void {
    pending.isUnderWay = false;
    if (pending.sent.outcome === 'ok') return;
    if (reply.status === 'applied' && reply.result.type === 'produced') {
      const { baseOffset, duplicate } = reply.result;
      if (duplicate) this.#session.cluster.judge.coverage.reach('request repeated and recognised');
      this.#session.history.acked(pending.sent, baseOffset);
      this.#pending = this.#pending.filter((other) => other !== pending);
      return;
    }
    if (reply.status === 'applied' && reply.result.type === 'refused') {
      this.#refused(pending, reply.result.refusal);
    }
    this.#againLater();
  }

  #refused({ sequence }: Pending, refusal: Refusal): void {
    if (refusal.reason === 'QUEUE_NOT_OPEN') return;
    const who = `${this.#producerId}/${sequence}`;
    if (refusal.reason !== 'SEQUENCE_GAP')
      throw new SimFailure('dedup', `${who}: ${refusal.reason}`);
    this.#session.cluster.judge.coverage.reach('sequence gap refused');
  }

  #againLater(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#session.after(BACKOFF_MAX_MS, () => {
      this.#isWaiting = false;
      const target = this.#session.target(this.#shard);
      for (const pending of [...this.#pending]) {
        if (!pending.isUnderWay) this.#attempt(pending, target);
        // Refused on the spot: so would be the rest.
        if (this.#isWaiting) return;
      }
    });
  }
}
