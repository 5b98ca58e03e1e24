/**
 * Subscribes a group to all queues of a topic, before its first message is given. The topic's first
 * queue is where it is settled how (`fifo`, from where): whoever comes first there decides. Queues
 * that are missing later, because the topic grew or a shard could not be asked, begin at their
 * beginnings.
 */
import { encodeCommand } from '../../broker/command-codec.ts';
import type { ApplyResult } from '../../broker/commands.ts';
import { type DeliveryFilter, isSameFilter } from '../../broker/delivery-commands.ts';
import type { TopicQueue, TopicView } from '../../cluster/api.ts';
import type { Call } from '../call.ts';
import { ask } from '../cold.ts';
import type { ExecutorParts } from '../executor-parts.ts';
import type { Proposed } from '../internal-methods.ts';
import { appliedError } from '../produce.ts';
import { subscriptionFifo, subscriptionFilter } from '../refusals.ts';
import type { ShardQuestions, SubscriptionAnswer } from './shard-questions.ts';

export interface WantedSubscription {
  readonly group: string;
  readonly fifo: boolean;
  readonly filter: DeliveryFilter | undefined;
  readonly isFromEnd: boolean;
}

/** Groups and topics of which this node knows that they are subscribed. */
const MAX_KNOWN = 10_000;
/** A shard that has not answered by then does not keep the others from being received from. */
const PATIENCE_MS = 500;
const BEGINNING = 0;
/** Apply puts it to the end of the queue. */
const END = Number.MAX_SAFE_INTEGER - 1;

export class Subscriber {
  readonly #parts: ExecutorParts;
  readonly #questions: ShardQuestions;
  /** Name → how it was subscribed. */
  readonly #known = new Map<string, Pick<WantedSubscription, 'fifo' | 'filter'>>();

  constructor(parts: ExecutorParts, questions: ShardQuestions) {
    this.#parts = parts;
    this.#questions = questions;
  }

  isKnown(topic: TopicView, { fifo, filter, group }: WantedSubscription): boolean {
    const known = this.#known.get(nameOf(topic, group));
    return known?.fifo === fifo && isSameFilter(known.filter, filter);
  }

  forget(topic: TopicView, group: string): void {
    this.#known.delete(nameOf(topic, group));
  }

  async subscribe(call: Call, topic: TopicView, wanted: WantedSubscription): Promise<void> {
    const { fifo, filter, group } = wanted;
    const [first, ...others] = topic.queues;
    const known = await this.#viewOf(call, topic, first!, group);
    if (known !== undefined && known.fifo !== fifo) throw subscriptionFifo(group, known.fifo);
    if (known !== undefined && !isSameFilter(known.filter, filter)) {
      throw subscriptionFilter(group, known.filter);
    }
    const isNew = known === undefined;
    const fromOffset = isNew && wanted.isFromEnd ? END : BEGINNING;
    if (isNew) await this.#open(call, first!, wanted, fromOffset);
    const open = others.map((queue) => this.#open(call, queue, wanted, fromOffset));
    if (await all(open, isNew ? undefined : PATIENCE_MS)) {
      if (this.#known.size >= MAX_KNOWN) this.#known.clear();
      this.#known.set(nameOf(topic, group), { fifo, filter });
    }
  }

  async #viewOf(
    call: Call,
    { topicId }: TopicView,
    { queueId, shard }: TopicQueue,
    group: string,
  ): Promise<SubscriptionAnswer | undefined> {
    const method = this.#questions.subscriptions;
    const question = { group, topicId };
    const { router } = this.#parts;
    const views = await ask<SubscriptionAnswer[]>(router, call, method, shard, question);
    return views.find((view) => view.queueId === queueId);
  }

  /** Does nothing where the queue is subscribed already. */
  async #open(
    call: Call,
    { queueId, shard }: TopicQueue,
    { fifo, filter, group }: WantedSubscription,
    fromOffset: number,
  ): Promise<void> {
    const nothing = { consumer: '', leaseMs: 0, again: [], freshOffset: 0, fresh: [] };
    const selection = filter && { filter, passed: [] };
    const how = { fifo, fromOffset, selection, ...nothing };
    const lease = { type: 'lease', group, queueId, ...how } as const;
    const { methods, router } = this.#parts;
    const head = encodeCommand(lease);
    const { result } = await ask<Proposed>(router, call, methods.propose, shard, head);
    const applied = result as ApplyResult;
    if (applied.type !== 'given') throw appliedError(applied);
  }
}

/** False: not all of them by then; what is late, or fails then, is of no interest any more. */
async function all(
  tasks: readonly Promise<void>[],
  withinMs: number | undefined,
): Promise<boolean> {
  const done = Promise.all(tasks).then(() => true);
  if (withinMs === undefined) return done;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), withinMs);
  });
  done.catch(() => {});
  return Promise.race([done, late]).finally(() => clearTimeout(timer));
}

function nameOf({ queueEpoch, topicId }: TopicView, group: string): string {
  return `${topicId}/${queueEpoch}/${group}`;
}
