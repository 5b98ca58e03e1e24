/** Ack, Nack, Extend: one entry per queue and request, each item with its own answer. */
import { encodeCommand } from '../../broker/command-codec.ts';
import type { ApplyResult } from '../../broker/commands.ts';
import type { Settled } from '../../broker/delivery-commands.ts';
import type { TopicView } from '../../cluster/api.ts';
import { checkedName } from '../../convert.ts';
import { CallError, toCallError } from '../../status.ts';
import type { Call } from '../call.ts';
import { ask, step } from '../cold.ts';
import type { ExecutorParts } from '../executor-parts.ts';
import type { Proposed } from '../internal-methods.ts';
import { appliedError } from '../produce.ts';
import {
  type AskedItem,
  checkTokens,
  leaseOf,
  nackVerdict,
  parseToken,
  topicRequest,
} from './requests.ts';

interface SettleRequest {
  readonly group: string;
  readonly topic: string;
}
export interface AckRequest extends SettleRequest {
  readonly tokens: readonly string[];
}
export interface NackRequest extends SettleRequest {
  readonly items: readonly { readonly token: string; readonly delay_ms?: number }[];
}
export interface ExtendRequest extends SettleRequest {
  readonly tokens: readonly string[];
  readonly extend_ms: number;
}

const STATUS = { ok: 1, stale: 2, notLeased: 3, decided: 4, dead: 5 } as const;
const OUTCOME_OPEN = 6;

export class SettleCalls {
  readonly #parts: ExecutorParts;

  constructor(parts: ExecutorParts) {
    this.#parts = parts;
  }

  async ack(call: Call, request: AckRequest): Promise<object> {
    checkTokens(request.tokens);
    const verdict = { type: 'ack' } as const;
    return this.#settle(
      call,
      request,
      request.tokens.map((token) => ({ ...parseToken(token), verdict })),
    );
  }

  async nack(call: Call, request: NackRequest): Promise<object> {
    checkTokens(request.items);
    const items = request.items.map(({ token, delay_ms: delayMs }) => {
      return { ...parseToken(token), verdict: nackVerdict(delayMs) };
    });
    return this.#settle(call, request, items);
  }

  async extend(call: Call, request: ExtendRequest): Promise<object> {
    checkTokens(request.tokens);
    const extendMs = leaseOf('extend_ms', request.extend_ms);
    const verdict = { type: 'extend', extendMs } as const;
    return this.#settle(
      call,
      request,
      request.tokens.map((token) => ({ ...parseToken(token), verdict })),
    );
  }

  async #settle(
    call: Call,
    { group, topic: name }: SettleRequest,
    items: readonly AskedItem[],
  ): Promise<object> {
    checkedName('group', group);
    const topic = await step<TopicView>((done) =>
      this.#parts.topics.find(call, topicRequest(name), done),
    );
    const byQueue = groupedByQueue(topic, items);
    const results: object[] = new Array(items.length);
    const errors: CallError[] = [];
    await Promise.all(
      [...byQueue].map(async ([queueId, { shard, places }]) => {
        const own = places.map((place) => items[place]!);
        const outcome = await this.#settleQueue(call, shard, group, queueId, own);
        if (outcome instanceof CallError) errors.push(outcome);
        for (const [at, place] of places.entries()) {
          results[place] = resultOf(outcome, at);
        }
      }),
    );
    // An error is said of all tokens: it stands for none that was settled, or may have been.
    if (errors.length === byQueue.size) throw mostOpen(errors);
    return { results };
  }

  async #settleQueue(
    call: Call,
    shard: number,
    group: string,
    queueId: number,
    items: readonly AskedItem[],
  ): Promise<readonly Settled[] | CallError> {
    const head = encodeCommand({ type: 'settle', group, queueId, items });
    const { methods, router } = this.#parts;
    try {
      const { result } = await ask<Proposed>(router, call, methods.propose, shard, head);
      const applied = result as ApplyResult;
      return applied.type === 'settled' ? applied.items : appliedError(applied);
    } catch (error) {
      return toCallError(error);
    }
  }
}

/** Where one queue may have applied it the outcome is not known; else a refusal counts most. */
function mostOpen(errors: readonly CallError[]): CallError {
  const unknown = errors.find(({ outcomeUnknown }) => outcomeUnknown);
  return unknown ?? errors.find(({ retryable }) => !retryable) ?? errors[0]!;
}

function resultOf(outcome: readonly Settled[] | CallError, at: number): object {
  if (outcome instanceof CallError) return { status: OUTCOME_OPEN, reason: outcome.reason };
  const { status, dueAtMs = 0, isDead = false } = outcome[at]!;
  return { status: STATUS[status], due_at_ms: dueAtMs, dead_letter: isDead };
}

/** Places in `items` by queue. */
function groupedByQueue(
  topic: TopicView,
  items: readonly AskedItem[],
): Map<number, { readonly shard: number; readonly places: number[] }> {
  const shards = new Map(topic.queues.map(({ queueId, shard }) => [queueId, shard]));
  const groups = new Map<number, { readonly shard: number; readonly places: number[] }>();
  for (const [place, { queueId }] of items.entries()) {
    const shard = shards.get(queueId);
    if (shard === undefined) throw foreignToken(topic, place);
    const known = groups.get(queueId);
    if (known === undefined) groups.set(queueId, { shard, places: [place] });
    else known.places.push(place);
  }
  return groups;
}

function foreignToken(topic: TopicView, place: number): CallError {
  return new CallError(
    'INVALID_REQUEST',
    `token ${place} is not of topic ${topic.name}: settle the messages of each topic by themselves`,
  );
}
