/**
 * Producers that are asked about undecided transactions, and operators of parked ones. Some checks
 * are lost on their way, some are reported twice or late, some are answered without a decision:
 * only those that were delivered count, each once.
 */
import type { ShardId } from '../../../raft/types.ts';
import type { TransactionView } from '../../broker/api.ts';
import type { Command, TransactionId } from '../../broker/commands.ts';
import type { LeasedCheck } from '../../broker/transaction-commands.ts';
import type { SimNode } from '../node.ts';
import type { Abandoned } from './abandoned.ts';
import type { Reply, Session } from './session.ts';

/** Of all transactions: whoever asks gets checks of every workload. */
export const PRODUCER_GROUP = 'transactions';
export const CHECK_MS = 300;
export const CHECKS_MAX = 2;
const LOOK_EVERY_MS = 200;
const LEASED_MAX = 4;
const TOLD_WITHIN_MS = 500;
const OPERATE_SHARE = 0.15;
const WRONG_SHARE = 0.1;
const AGAIN_SHARE = 0.3;

export class Checkers {
  readonly #session: Session;
  readonly #abandoned: Abandoned;

  constructor(session: Session, abandoned: Abandoned) {
    this.#session = session;
    this.#abandoned = abandoned;
  }

  start(shards: readonly ShardId[]): void {
    for (const shard of shards) this.#look(shard);
  }

  #look(shard: ShardId): void {
    const { cluster, isStopped, random } = this.#session;
    if (isStopped) return;
    const leader = cluster.leaderOf(shard);
    if (leader !== undefined && !leader.isPaused) {
      this.#lease(leader, shard);
      if (random.chance(OPERATE_SHARE)) this.#operate(leader, shard);
    }
    this.#session.after(2 * LOOK_EVERY_MS, () => this.#look(shard));
  }

  #lease(leader: SimNode, shard: ShardId): void {
    const { random } = this.#session;
    const data = leader.machine.data(shard);
    const nowMs = leader.driver!.shardTimeMs(shard);
    const due = data.dueChecks(PRODUCER_GROUP, nowMs, LEASED_MAX);
    const open = random.chance(WRONG_SHARE) ? [...data.openTransactions(0)].slice(-1) : [];
    const transactions = [...due, ...open.map(({ id }) => id)];
    if (transactions.length === 0) return;
    const what = { producerGroup: PRODUCER_GROUP, transactions, leaseMs: CHECK_MS } as const;
    const command = { type: 'leaseChecks', ...what, countsLater: true } as const;
    const done = (reply: Reply): void => {
      if (reply.status !== 'applied' || reply.result.type !== 'leased') return;
      for (const check of reply.result.checks) this.#asked(shard, check);
    };
    this.#session.request(shard, { command }, done, leader);
  }

  /** What becomes of a check on its way to a producer. */
  #asked(shard: ShardId, { id, callerId, lease }: LeasedCheck): void {
    const { cluster, random } = this.#session;
    const drawn = random.next();
    if (drawn < 0.2) {
      cluster.judge.coverage.reach('check lost on its way');
      return;
    }
    if (drawn < 0.3) {
      this.#answerUnknown(shard, id);
      return;
    }
    const decide = drawn < 0.4 ? this.#abandoned.take(callerId) : undefined;
    if (decide === undefined) this.#delivered(shard, id, lease);
    else decide(random.chance(0.6) ? 'commit' : 'rollback');
  }

  #answerUnknown(shard: ShardId, id: TransactionId): void {
    const transaction = { by: 'id', id } as const;
    const what = { producerGroup: PRODUCER_GROUP, transaction, decision: 'unknown' } as const;
    this.#session.request(shard, { command: { type: 'end', ...what } }, () => {});
  }

  #delivered(shard: ShardId, id: TransactionId, lease: number): void {
    const { cluster, random } = this.#session;
    const command = { type: 'checksDelivered', checks: [{ id, lease }] } as const;
    const tell = (): void => {
      this.#session.after(TOLD_WITHIN_MS, () =>
        this.#session.request(shard, { command }, (reply) => {
          if (reply.status !== 'applied' || reply.result.type !== 'counted') return;
          const isNews = reply.result.count > 0;
          cluster.judge.coverage.reach(isNews ? 'check counted' : 'check told twice or late');
        }),
      );
    };
    tell();
    if (random.chance(AGAIN_SHARE)) tell();
  }

  #operate(leader: SimNode, shard: ShardId): void {
    const open = [...leader.machine.data(shard).openTransactions(0)];
    const parked = open.filter(({ state }) => state === 'parked');
    if (parked.length > 0) this.#decideParked(shard, this.#session.random.pick(parked));
  }

  #decideParked(shard: ShardId, { id, callerId }: TransactionView): void {
    const { cluster, random } = this.#session;
    const { coverage } = cluster.judge;
    const decide = random.chance(0.5) ? this.#abandoned.take(callerId) : undefined;
    if (decide !== undefined) {
      coverage.reach('parked message decided');
      decide(random.chance(0.5) ? 'commit' : 'rollback', id);
      return;
    }
    const command: Command = { type: 'resume', transaction: id };
    this.#session.request(shard, { command }, (reply) => {
      const isResumed = reply.status === 'applied' && reply.result.type === 'resumed';
      if (isResumed) coverage.reach('parked message resumed');
    });
  }
}
