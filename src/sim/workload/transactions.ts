/**
 * Half messages: prepared, then committed, rolled back or left undecided; replies get lost, so both
 * steps are repeated until they are answered, and an outcome is asked for again afterwards.
 */
import type { ShardId } from '../../../raft/types.ts';
import type { ApplyResult, Command, QueueId, TransactionId } from '../../broker/commands.ts';
import { expect } from '../failure.ts';
import type { Abandoned } from './abandoned.ts';
import { CHECK_MS, CHECKS_MAX, PRODUCER_GROUP } from './checkers.ts';
import type { SentBatch } from './history.ts';
import type { Reply, Session } from './session.ts';

type Decision = 'commit' | 'rollback' | 'unknown';

interface Open {
  readonly shard: ShardId;
  readonly queueId: QueueId;
  readonly callerId: string;
  readonly batch: string;
  readonly count: number;
  readonly maxChecks: number;
  /** Set once an operator decides it. */
  operatorOf: TransactionId | undefined;
}

const OPEN_MAX = 4;
const COUNT_MAX = 3;
const THINK_MAX_MS = 600;
const BACKOFF_MAX_MS = 300;
const AGAIN_SHARE = 0.3;

export class Transactions {
  readonly #session: Session;
  readonly #abandoned: Abandoned;
  #open = 0;

  constructor(session: Session, abandoned: Abandoned) {
    this.#session = session;
    this.#abandoned = abandoned;
  }

  get isSettled(): boolean {
    return this.#open === 0;
  }

  begin(shard: ShardId, queueId: QueueId): void {
    if (this.#open >= OPEN_MAX) return;
    this.#open++;
    const { history, random } = this.#session;
    const batch = history.name('b');
    const count = random.between(1, COUNT_MAX);
    const maxChecks = random.between(1, CHECKS_MAX);
    const what = { shard, queueId, callerId: `t-${batch}`, batch, count, maxChecks };
    this.#prepare({ ...what, operatorOf: undefined });
  }

  #prepare(open: Open): void {
    const { queueId, callerId, batch, count, maxChecks } = open;
    const when = { firstCheckAfterMs: CHECK_MS, checkIntervalMs: CHECK_MS, maxChecks };
    const who = { producerGroup: PRODUCER_GROUP, callerId };
    const what = { ...who, topic: 'topic', queueId, count, ...when };
    const command: Command = { type: 'prepare', ...what };
    this.#session.request(open.shard, { command, batch, paddingBytes: 20 }, (reply) => {
      if (reply.status === 'applied' && reply.result.type === 'prepared') this.#prepared(open);
      else if (this.#session.isStopped) this.#open--;
      else this.#session.after(BACKOFF_MAX_MS, () => this.#prepare(open));
    });
  }

  /** It must stay out of sight until somebody else decides it. */
  #left(open: Open): void {
    this.#open--;
    this.#abandoned.add(open.callerId, (decision, operatorOf) => {
      this.#open++;
      open.operatorOf = operatorOf;
      this.#end(open, this.#sends(open), decision);
    });
  }

  #sends({ queueId, batch, count }: Open): SentBatch {
    const what = { kind: 'transaction', client: PRODUCER_GROUP, queueId, batch, count } as const;
    return this.#session.history.sends(what);
  }

  #prepared(open: Open): void {
    const { random } = this.#session;
    this.#session.after(THINK_MAX_MS, () => {
      const drawn = random.next();
      if (drawn < 0.2) {
        this.#left(open);
        return;
      }
      const sent = this.#sends(open);
      this.#end(open, sent, drawn < 0.75 ? 'commit' : 'rollback');
    });
  }

  #end(open: Open, sent: SentBatch, decision: Decision): void {
    this.#ask(open, decision, (reply) => {
      if (reply.status === 'applied' && reply.result.type === 'ended') {
        this.#ended(open, sent, decision, reply.result);
      } else {
        const isAnswered = reply.status === 'applied';
        expect(!isAnswered, 'transaction-kept', () => `${open.callerId}: ${JSON.stringify(reply)}`);
        this.#session.after(BACKOFF_MAX_MS, () => this.#end(open, sent, decision));
      }
    });
  }

  #ask(open: Open, decision: Decision, done: (reply: Reply) => void): void {
    this.#session.request(open.shard, { command: endOf(open, decision) }, done);
  }

  #ended(
    open: Open,
    sent: SentBatch,
    decision: Decision,
    result: Extract<ApplyResult, { type: 'ended' }>,
  ): void {
    const { history, cluster, random } = this.#session;
    this.#open--;
    const isCommit = decision === 'commit';
    expectState(open, result.state, isCommit);
    if (isCommit) history.acked(sent, result.parts[0]?.baseOffset);
    else history.failed(sent);
    cluster.judge.coverage.reach(isCommit ? 'transaction committed' : 'transaction rolled back');
    const drawn = random.next();
    if (drawn < AGAIN_SHARE) this.#sameAgain(open, decision);
    else if (drawn < 2 * AGAIN_SHARE) this.#opposite(open, decision);
  }

  #sameAgain(open: Open, decision: Decision): void {
    this.#ask(open, decision, (reply) => {
      if (reply.status !== 'applied' || reply.result.type !== 'ended') return;
      this.#session.cluster.judge.coverage.reach('duplicate End');
      expectState(open, reply.result.state, decision === 'commit');
    });
  }

  #opposite(open: Open, decision: Decision): void {
    this.#ask(open, decision === 'commit' ? 'rollback' : 'commit', (reply) => {
      if (reply.status !== 'applied') return;
      const isRefused = reply.result.type === 'refused';
      expect(isRefused, 'one-outcome', () => `${open.callerId} ended twice, differently`);
      this.#session.cluster.judge.coverage.reach('contradicting End refused');
    });
  }
}

function expectState({ callerId }: Open, state: string, isCommit: boolean): void {
  const wanted = isCommit ? 'committed' : 'rolledBack';
  expect(state === wanted, 'one-outcome', () => `${callerId}: ${state}, not ${wanted}`);
}

export function endOf(
  { callerId, operatorOf }: Pick<Open, 'callerId' | 'operatorOf'>,
  decision: Decision,
): Command {
  if (operatorOf === undefined) {
    const transaction = { by: 'caller', callerId } as const;
    return { type: 'end', producerGroup: PRODUCER_GROUP, transaction, decision };
  }
  const transaction = { by: 'id', id: operatorOf } as const;
  return { type: 'end', producerGroup: '', transaction, decision, by: 'operator' };
}
