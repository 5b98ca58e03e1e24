/**
 * Brings a begun transaction to `prepared` or to its rollback, as a coordinator's node does it: by
 * production's steps, each part stored with a few tries. It ends where its process ends, and
 * sometimes just so, half way.
 */
import type { StoredAt, TransactionId } from '../../broker/commands.ts';
import {
  allStored,
  type OffsetsPlan,
  oneRefused,
  type StoreStep,
  storeSteps,
} from '../../broker/preparation.ts';
import type { GlobalTransactionId, PartPlan } from '../../broker/transaction-commands.ts';
import type { SimNode } from '../node.ts';
import type { Reply, Session } from './session.ts';

export interface SpanPart extends PartPlan {
  readonly batch: string;
}

export interface SpanPlan {
  readonly parts: readonly SpanPart[];
  readonly offsets: OffsetsPlan | undefined;
}

/** lost: nobody knows; whoever repeats `begin` will hear. */
export type Driven = 'prepared' | 'rolledBack' | 'lost';

const TRIES = 4;
const BACKOFF_MAX_MS = 200;
const DIES_SHARE = 0.12;
const PADDING_BYTES = 20;

export class PrepareDrive {
  readonly #session: Session;
  readonly #node: SimNode;
  readonly #transaction: GlobalTransactionId;
  readonly #plan: SpanPlan;
  readonly #done: (how: Driven) => void;
  readonly #places: StoredAt[] = [];
  readonly #dies: boolean;
  #open = 1;
  #isRefused = false;

  constructor(
    session: Session,
    node: SimNode,
    transaction: GlobalTransactionId,
    plan: SpanPlan,
    done: (how: Driven) => void,
  ) {
    this.#session = session;
    this.#node = node;
    this.#transaction = transaction;
    this.#plan = plan;
    this.#done = done;
    this.#dies = session.random.chance(DIES_SHARE);
  }

  start(): void {
    const steps = storeSteps(this.#transaction, this.#plan.parts, this.#plan.offsets);
    const stored = this.#dies ? steps.slice(1) : steps;
    for (const step of stored) {
      this.#open++;
      this.#store(step, steps.indexOf(step), TRIES);
    }
    this.#settle();
  }

  #store(step: StoreStep, place: number, tries: number): void {
    const batch = this.#plan.parts[place]?.batch ?? '';
    const request = { command: step.command, batch, paddingBytes: PADDING_BYTES };
    this.#ask(step.shard, request, (reply) => {
      if (reply.status === 'applied' && reply.result.type === 'partPrepared') {
        this.#places[place] = reply.result.at;
        this.#settle();
        return;
      }
      const isOpen = reply.status !== 'applied' && tries > 1;
      if (isOpen) {
        const again = this.#node.alive(() => this.#store(step, place, tries - 1));
        this.#session.after(BACKOFF_MAX_MS, again);
        return;
      }
      this.#refused(reply);
    });
  }

  #refused(reply: Reply): void {
    const { coverage } = this.#session.cluster.judge;
    if (reply.status === 'applied' && reply.result.type === 'refused') {
      const { reason } = reply.result.refusal;
      if (reason === 'OFFSETS_PENDING') coverage.reach('held offsets refused');
      if (reason === 'OFFSET_MOVED') coverage.reach('moved offset refused');
      if (reason === 'STALE_GENERATION') coverage.reach('stale commit refused');
    }
    this.#isRefused = true;
    this.#settle();
  }

  #settle(): void {
    this.#open--;
    if (this.#open > 0) return;
    if (this.#dies) this.#session.cluster.judge.coverage.reach('preparation left half way');
    else if (this.#isRefused) this.#abort();
    else this.#prepared();
  }

  #prepared(): void {
    const command = allStored(this.#transaction, this.#places);
    this.#ask(this.#transaction.shard, { command }, (reply) => {
      if (reply.status !== 'applied') this.#done('lost');
      else if (reply.result.type === 'prepared') this.#done('prepared');
      else {
        this.#session.cluster.judge.coverage.reach('Prepared came too late');
        this.#done('rolledBack');
      }
    });
  }

  #abort(): void {
    const command = oneRefused(this.#transaction);
    this.#ask(this.#transaction.shard, { command }, (reply) => {
      if (reply.status !== 'applied') this.#done('lost');
      else if (reply.result.type === 'ended') {
        this.#done(reply.result.state === 'rolledBack' ? 'rolledBack' : 'prepared');
      } else this.#done('prepared');
    });
  }

  /** Who is gone hears no answer. */
  #ask(
    shard: number,
    request: Parameters<Session['request']>[1],
    answered: (reply: Reply) => void,
  ): void {
    let answer: Reply = { status: 'unknown' };
    const heard = this.#node.alive(() => answered(answer));
    const isOwn = shard === this.#transaction.shard;
    const target = isOwn ? this.#node : this.#session.target(shard);
    this.#session.request(
      shard,
      request,
      (reply) => {
        answer = reply;
        heard();
      },
      target,
    );
  }
}

export function globalId(shard: number, { term, index }: TransactionId): GlobalTransactionId {
  return { shard, term, index };
}
