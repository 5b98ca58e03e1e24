/**
 * Transactions over several queues and shards, some with offsets of a group that stand where they
 * began to read. Begins and Ends are repeated until they are answered, some are rolled back while
 * they are prepared, some are decided twice at the same time, differently, some by nobody.
 */
import type { ShardId } from '../../../raft/types.ts';
import type { DataShard } from '../../broker/api.ts';
import type { Command, QueueId, TransactionId } from '../../broker/commands.ts';
import type { OffsetsPlan } from '../../broker/preparation.ts';
import { storeSteps } from '../../broker/preparation.ts';
import type { Decision } from '../../broker/transaction-commands.ts';
import { expect } from '../failure.ts';
import type { SimNode } from '../node.ts';
import type { Abandoned } from './abandoned.ts';
import { CHECK_MS, CHECKS_MAX, PRODUCER_GROUP } from './checkers.ts';
import { TOPIC_ID } from './groups.ts';
import type { SentBatch } from './history.ts';
import { type Driven, globalId, PrepareDrive, type SpanPart } from './prepare-drive.ts';
import type { Reply, Session } from './session.ts';
import { teamOf } from './teams.ts';
import { endOf } from './transactions.ts';

export interface QueueHome {
  readonly shard: ShardId;
  readonly queueId: QueueId;
}

interface Span {
  readonly callerId: string;
  readonly coordinator: ShardId;
  readonly parts: readonly SpanPart[];
  readonly offsets: OffsetsPlan | undefined;
  readonly maxChecks: number;
  /** Somebody else decides it, too: either outcome is right. */
  isContested: boolean;
  operatorOf: TransactionId | undefined;
}

const OPEN_MAX = 4;
const PARTS_MAX = 3;
const COUNT_MAX = 3;
const STEP_MAX = 5;
/** Of one group, each on its own: so much can be held at once. */
const OFFSET_QUEUES = 3;
const THINK_MAX_MS = 500;
const DRIVE_MAX_MS = 1500;
const BACKOFF_MAX_MS = 300;
const LATE_MS = 2500;
const OFFSETS_SHARE = 0.6;
const WRONG_FROM_SHARE = 0.15;
const EARLY_SHARE = 0.08;
const RIVAL_SHARE = 0.15;
const LATE_SHARE = 0.25;
const AGAIN_SHARE = 0.3;
const MOVE_SHARE = 0.25;
const MEMBER_SHARE = 0.3;
const BACK_SHARE = 0.4;

export function spanGroupOf(shard: ShardId): string {
  return `span-${shard}`;
}

export class Spanning {
  readonly #session: Session;
  readonly #homes: readonly QueueHome[];
  readonly #abandoned: Abandoned;
  #open = 0;

  constructor(session: Session, homes: readonly QueueHome[], abandoned: Abandoned) {
    this.#session = session;
    this.#homes = homes;
    this.#abandoned = abandoned;
  }

  get isSettled(): boolean {
    return this.#open === 0;
  }

  act(): void {
    const { random } = this.#session;
    if (random.chance(MOVE_SHARE)) this.#moveOffsets(random.pick(this.#homes).shard);
    if (this.#open >= OPEN_MAX) return;
    this.#open++;
    const span = this.#draw();
    this.#begin(span);
  }

  #draw(): Span {
    const { history, random } = this.#session;
    const homes = new Set<QueueHome>();
    for (let left = random.between(2, PARTS_MAX); left > 0; left--) {
      homes.add(random.pick(this.#homes));
    }
    const parts = [...homes].map(({ shard, queueId }) => {
      const batch = history.name('b');
      const count = random.between(1, COUNT_MAX);
      return { shard, topic: 'topic', queueId, queue: queueId, count, batch };
    });
    const hasOffsets = random.chance(OFFSETS_SHARE);
    return {
      callerId: history.name('s'),
      coordinator: parts[0]!.shard,
      parts,
      offsets: hasOffsets ? this.#offsets(random.pick(this.#homes).shard) : undefined,
      maxChecks: random.between(1, CHECKS_MAX),
      isContested: false,
      operatorOf: undefined,
    };
  }

  /** As whoever reads sees it at some node: it may have moved since. */
  #offsets(shard: ShardId): OffsetsPlan {
    const { random } = this.#session;
    const member = random.chance(MEMBER_SHARE) ? this.#member(shard) : undefined;
    const group = member === undefined ? spanGroupOf(shard) : teamOf(shard);
    const queue = member?.queue ?? random.between(0, OFFSET_QUEUES - 1);
    const current = this.#committed(shard, group, queue);
    const from = random.chance(WRONG_FROM_SHARE) ? (current ?? 0) + 1 : current;
    const offset = (from ?? 0) + random.between(1, STEP_MAX);
    const topics = [{ topicId: TOPIC_ID, offsets: [{ queue, offset, from }] }];
    const { generation = 0, memberId = '' } = member ?? {};
    return { shard, group, generation, memberId, topics };
  }

  /** Of a group with members: one that has a queue, as far as some node knows. */
  #member(shard: ShardId): { memberId: string; generation: number; queue: number } | undefined {
    const team = this.#data(shard)?.membership(teamOf(shard));
    const queues = team?.topics.get(TOPIC_ID)?.queues ?? [];
    const queue = this.#session.random.between(0, Math.max(0, queues.length - 1));
    const owner = queues[queue]?.owner;
    if (team === undefined || owner === undefined || owner === '') return undefined;
    return { memberId: owner, generation: team.generation, queue };
  }

  #data(shard: ShardId): DataShard | undefined {
    const { machine } = this.#session.target(shard);
    return machine.isOpen && machine.life.machine.holds(shard) ? machine.data(shard) : undefined;
  }

  #committed(shard: ShardId, group: string, queue: number): number | undefined {
    const offsets = this.#data(shard)?.groupOffsets(group, TOPIC_ID) ?? [];
    return offsets.find((one) => one.queue === queue)?.offset;
  }

  /** Beside all transactions: what one of them holds stays where it is. */
  #moveOffsets(shard: ShardId): void {
    const { random } = this.#session;
    const queue = random.between(0, OFFSET_QUEUES - 1);
    const group = spanGroupOf(shard);
    const current = this.#committed(shard, group, queue) ?? 0;
    const offset = current + random.between(-STEP_MAX, STEP_MAX);
    const type = random.chance(0.5) ? 'commitOffsets' : 'resetOffsets';
    const where = { group, topicId: TOPIC_ID };
    const offsets = [{ queue, offset: Math.max(0, offset) }];
    this.#session.request(shard, { command: { type, ...where, offsets } }, (reply) => {
      if (reply.status !== 'applied' || reply.result.type !== 'refused') return;
      const { reason } = reply.result.refusal;
      if (reason !== 'OFFSETS_PENDING') return;
      this.#session.cluster.judge.coverage.reach('held offsets refused');
    });
  }

  #begin(span: Span): void {
    const { coordinator: shard } = span;
    const target = this.#session.target(shard);
    const when = { firstCheckAfterMs: CHECK_MS, checkIntervalMs: CHECK_MS };
    const { callerId, maxChecks } = span;
    const who = { producerGroup: PRODUCER_GROUP, callerId, maxChecks };
    const parts = span.parts.map(({ batch: _, ...part }) => part);
    const command: Command = { type: 'begin', ...who, ...when, parts, offsets: held(span) };
    const done = (reply: Reply): void => {
      if (reply.status === 'applied' && reply.result.type === 'prepared') {
        const { id, state, duplicate } = reply.result;
        if (state !== 'preparing') this.#prepared(span, id);
        else {
          if (duplicate) this.#session.cluster.judge.coverage.reach('preparation taken up again');
          this.#drive(span, target, id);
        }
      } else if (reply.status === 'applied') this.#open--;
      else this.#againOrLeft(span);
    };
    this.#session.request(shard, { command }, done, target);
  }

  #againOrLeft(span: Span): void {
    if (this.#session.isStopped) this.#open--;
    else this.#session.after(BACKOFF_MAX_MS, () => this.#begin(span));
  }

  #drive(span: Span, node: SimNode, id: TransactionId): void {
    const { random } = this.#session;
    let isOver = false;
    const over = (how: Driven | 'silent'): void => {
      if (isOver) return;
      isOver = true;
      if (how === 'prepared') this.#prepared(span, id);
      else if (how === 'rolledBack') this.#open--;
      else this.#againOrLeft(span);
    };
    new PrepareDrive(this.#session, node, globalId(span.coordinator, id), span, over).start();
    this.#session.after(DRIVE_MAX_MS, () => over('silent'));
    if (!random.chance(EARLY_SHARE)) return;
    span.isContested = true;
    this.#session.after(BACKOFF_MAX_MS, () => this.#ask(span, 'rollback', () => {}));
  }

  #prepared(span: Span, id: TransactionId): void {
    const { random } = this.#session;
    this.#session.after(THINK_MAX_MS, () => {
      const drawn = random.next();
      if (drawn < 0.2) this.#leave(span, id);
      else this.#decide(span, id, drawn < 0.75 ? 'commit' : 'rollback');
    });
  }

  #leave(span: Span, id: TransactionId): void {
    this.#open--;
    this.#abandoned.add(span.callerId, (decision, operatorOf) => {
      this.#open++;
      span.operatorOf = operatorOf;
      this.#decide(span, id, decision);
    });
  }

  #decide(span: Span, id: TransactionId, decision: 'commit' | 'rollback'): void {
    const { history, random } = this.#session;
    const sent = span.parts.map(({ queueId, batch, count }) =>
      history.sends({ kind: 'transaction', client: PRODUCER_GROUP, queueId, batch, count }),
    );
    if (random.chance(RIVAL_SHARE)) {
      span.isContested = true;
      this.#ask(span, opposite(decision), () => {});
    }
    this.#end(span, id, sent, decision);
  }

  #end(span: Span, id: TransactionId, sent: SentBatch[], decision: 'commit' | 'rollback'): void {
    this.#ask(span, decision, (reply) => {
      if (reply.status !== 'applied') {
        this.#session.after(BACKOFF_MAX_MS, () => this.#end(span, id, sent, decision));
        return;
      }
      const state = endStateOf(reply);
      const wanted = decision === 'commit' ? 'committed' : 'rolledBack';
      const what = () => `${span.callerId}: ${decision} answered ${JSON.stringify(reply)}`;
      expect(state !== undefined, 'transaction-kept', what);
      expect(span.isContested || state === wanted, 'one-outcome', what);
      this.#ended(span, id, sent, state === 'committed');
    });
  }

  #ended(span: Span, id: TransactionId, sent: SentBatch[], isCommit: boolean): void {
    const { cluster, history, random } = this.#session;
    const { coverage } = cluster.judge;
    if (isCommit) this.#whenResolved(span, id, sent);
    else {
      this.#open--;
      for (const one of sent) history.failed(one);
    }
    const shards = new Set(span.parts.map(({ shard }) => shard));
    const name = isCommit ? 'committed' : 'rolled back';
    if (shards.size > 1) coverage.reach(`transaction over shards ${name}`);
    if (isCommit && span.offsets !== undefined) {
      coverage.reach('offsets moved by a transaction');
      if (random.chance(BACK_SHARE)) this.#putBack(span.offsets);
    }
    if (random.chance(AGAIN_SHARE)) this.#endAgain(span, isCommit);
    if (random.chance(LATE_SHARE)) this.#storeLate(span, id);
  }

  /** An operator does; an outcome that is told again then must leave it there. */
  #putBack({ group, shard, topics }: OffsetsPlan): void {
    const [{ topicId, offsets }] = topics as [OffsetsPlan['topics'][number]];
    const back = offsets.map(({ queue }) => ({ queue, offset: 0 }));
    const command = { type: 'resetOffsets', group, topicId, offsets: back } as const;
    this.#session.after(THINK_MAX_MS, () => this.#session.request(shard, { command }, () => {}));
  }

  /** Visible everywhere; only then is it acknowledged. */
  #whenResolved(span: Span, id: TransactionId, sent: SentBatch[]): void {
    const { cluster, history } = this.#session;
    const { coordinator: shard } = span;
    const found = cluster.leaderOf(shard)?.machine.data(shard).coordinated(id);
    if (found === undefined || found.state !== 'committed' || found.unresolved.length > 0) {
      this.#session.after(BACKOFF_MAX_MS, () => this.#whenResolved(span, id, sent));
      return;
    }
    this.#open--;
    for (const [at, one] of sent.entries()) {
      const { baseOffset } = found.parts[at]!;
      expect(baseOffset !== undefined, 'all-or-none', () => `${span.callerId}: part ${at}`);
      history.acked(one, baseOffset);
    }
  }

  /** The same again and its opposite. */
  #endAgain(span: Span, isCommit: boolean): void {
    const { coverage } = this.#session.cluster.judge;
    for (const decision of ['commit', 'rollback'] as const) {
      this.#ask(span, decision, (reply) => {
        if (reply.status !== 'applied') return;
        const isSame = (decision === 'commit') === isCommit;
        const isRight = reply.result.type === (isSame ? 'ended' : 'refused');
        expect(isRight, 'one-outcome', () => `${span.callerId}: ${JSON.stringify(reply.result)}`);
        coverage.reach(isSame ? 'duplicate End' : 'contradicting End refused');
      });
    }
  }

  /** What was slow on its way arrives after the outcome. */
  #storeLate(span: Span, id: TransactionId): void {
    const steps = storeSteps(globalId(span.coordinator, id), span.parts, undefined);
    const place = this.#session.random.between(0, steps.length - 1);
    const { command, shard } = steps[place]!;
    const { batch } = span.parts[place]!;
    this.#session.after(LATE_MS, () => {
      if (this.#session.isStopped) return;
      this.#session.request(shard, { command, batch, paddingBytes: 20 }, (reply) => {
        if (reply.status !== 'applied' || reply.result.type !== 'partPrepared') return;
        const isNew = reply.result.at.index === reply.index;
        if (isNew) this.#session.cluster.judge.coverage.reach('part stored after the outcome');
      });
    });
  }

  #ask(span: Span, decision: Decision, done: (reply: Reply) => void): void {
    this.#session.request(span.coordinator, { command: endOf(span, decision) }, done);
  }
}

function held({ offsets }: Span): Pick<OffsetsPlan, 'shard' | 'group'> | undefined {
  return offsets === undefined ? undefined : { shard: offsets.shard, group: offsets.group };
}

function opposite(decision: 'commit' | 'rollback'): 'commit' | 'rollback' {
  return decision === 'commit' ? 'rollback' : 'commit';
}

/** What it ended as; undefined = it did not. */
function endStateOf(reply: Extract<Reply, { status: 'applied' }>): string | undefined {
  const { result } = reply;
  if (result.type === 'ended') return result.state;
  if (result.type !== 'refused') return undefined;
  return result.refusal.reason === 'TRANSACTION_ENDED' ? result.refusal.state : undefined;
}
