/**
 * DescribeRetention: what each queue keeps and would lose, asked of the leaders of its shards, and
 * what holds the log of each node, asked of all of them.
 */
import type { NodeId, ShardId } from '../../raft/types.ts';
import { DISK_LEVELS, type DiskLevel, type TopicConfig, type TopicView } from '../cluster/api.ts';
import { checkedName, checkedNumber, int64, nameBeforePage, pageTokenAfter } from '../convert.ts';
import type { PeerNetwork } from '../peers/api.ts';
import type { HeldLog, LogHolder } from '../shards/held-log.ts';
import type { QueuePlan } from '../shards/retention-plan.ts';
import type { NodeLog, PlanQuestion, RetentionPort } from '../shards/retention-reports.ts';
import { CallError, toCallError } from '../status.ts';
import { askNode } from './ask-node.ts';
import type { Call } from './call.ts';
import { ask, step } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import { afterRound, decodeJson, encodeJson } from './internal-methods.ts';
import type { NodeMethod, ShardMethod } from './methods.ts';
import { topicNotFound } from './refusals.ts';

export interface DescribeRetentionRequest {
  readonly topic: string;
  readonly retention_ms?: string;
  readonly retention_bytes?: string;
  readonly disk: string;
  readonly page_size: number;
  readonly page_token: string;
}

/** What is asked instead of what is. */
interface WhatIf {
  readonly config: Partial<TopicConfig>;
  readonly disk?: DiskLevel;
}

/** null = the queue is not open. */
type Planned = QueuePlan | null;

/** A queue of a page, and what its shard's leader is asked about it. */
interface AskedQueue {
  readonly topic: TopicView;
  readonly queue: number;
  readonly shard: ShardId;
  readonly question: PlanQuestion;
}

export class RetentionCalls {
  /** PlanQuestion[] → Planned[]. */
  readonly planMethod: ShardMethod;
  /** → NodeLog. */
  readonly logMethod: NodeMethod;
  readonly #parts: ExecutorParts;
  readonly #peers: PeerNetwork;
  readonly #retention: RetentionPort;

  constructor(parts: ExecutorParts, peers: PeerNetwork, retention: RetentionPort) {
    this.#parts = parts;
    this.#peers = peers;
    this.#retention = retention;
    this.planMethod = {
      name: '.shard/retention',
      kind: 'read',
      perform: (_call, target, body, _parsed, done) =>
        afterRound(parts.host, target, done, () => {
          this.#plans(target.shard, decodeJson(body)).then(
            (plans) => done(undefined, encodeJson(plans)),
            (error: unknown) => done(planError(error), undefined),
          );
        }),
    };
    this.logMethod = {
      name: '.node/log',
      perform: (_call, _body, done) =>
        void retention.nodeLog().then(
          (log) => done(undefined, encodeJson(log)),
          (error: unknown) => done(toCallError(error), undefined),
        ),
    };
  }

  async describe(call: Call, request: DescribeRetentionRequest): Promise<object> {
    const whatIf = whatIfOf(request);
    const { defaultPageSize, maxPageSize } = this.#parts.config;
    const pageSize = checkedNumber('page_size', request.page_size, maxPageSize) || defaultPageSize;
    const after = nameBeforePage(request.page_token);
    if (request.topic !== '') checkedName('topic', request.topic);
    await step((done) => this.#parts.topics.catchUp(call, (error) => done(error, undefined)));
    const found = this.#topics(request.topic, after, pageSize + 1);
    const page = found.slice(0, pageSize);
    const asked = page.flatMap((topic) => askedQueues(topic, whatIf));
    const [plans, nodes] = await Promise.all([
      this.#ask(call, asked),
      after === '' ? this.#nodeLogs(call) : [],
    ]);
    return {
      queues: asked.flatMap((one, at) => {
        const plan = plans[at] ?? null;
        return plan === null ? [] : [queueFields(one, plan)];
      }),
      nodes,
      next_page_token: pageTokenAfter(found.length > pageSize ? page.at(-1)!.name : ''),
    };
  }

  #topics(name: string, after: string, limit: number): readonly TopicView[] {
    const meta = this.#parts.host.meta();
    if (name === '') return meta.topics(after, limit);
    const topic = meta.topic(name);
    if (topic === undefined) throw topicNotFound(name);
    return [topic];
  }

  /** In the order of the queues, one question per shard. */
  async #ask(call: Call, asked: readonly AskedQueue[]): Promise<Planned[]> {
    const shards = new Set(asked.map(({ shard }) => shard));
    const plans = new Map<AskedQueue, Planned>();
    await Promise.all(
      [...shards].map(async (shard) => {
        const own = asked.filter((one) => one.shard === shard);
        const questions = own.map(({ question }) => question);
        const { router } = this.#parts;
        const found = await ask<Planned[]>(router, call, this.planMethod, shard, questions);
        for (const [at, one] of own.entries()) plans.set(one, found[at]!);
      }),
    );
    return asked.map((one) => plans.get(one) ?? null);
  }

  /** One after the other: many queues must not fill the line to LevelDB. */
  async #plans(shard: ShardId, questions: readonly PlanQuestion[]): Promise<Planned[]> {
    const plans: Planned[] = [];
    for (const question of questions) {
      plans.push((await this.#retention.plan(shard, question)) ?? null);
    }
    return plans;
  }

  async #nodeLogs(call: Call): Promise<object[]> {
    const { config, host } = this.#parts;
    const { statusTimeoutMs } = config;
    const others = this.#peers.peers().map(async (node) => {
      const asked = askNode<NodeLog>(this.#peers, call, node, this.logMethod, statusTimeoutMs);
      return { node, log: await asked };
    });
    const own = this.#retention.nodeLog().then((log) => ({ node: host.node, log }));
    const answers = await Promise.all([own, ...others]);
    return answers
      .sort((a, b) => a.node - b.node)
      .flatMap(({ log, node }) => (log === undefined ? [] : [this.#nodeFields(node, log)]));
  }

  #nodeFields(node: NodeId, { bytes, shards }: NodeLog): object {
    return { node, bytes, shards: shards.map((held) => this.#heldFields(held)) };
  }

  #heldFields({ bytes, holders, lastIndex, shard, startIndex, trimIndex }: HeldLog): object {
    return {
      ...{ shard, bytes, start_index: startIndex, trim_index: trimIndex, last_index: lastIndex },
      holders: holders.map((holder) => this.#holderFields(holder)),
    };
  }

  #holderFields({ index, node = 0, queue, topicId, what }: LogHolder): object {
    const topic = topicId === undefined ? undefined : this.#parts.host.meta().topicById(topicId);
    const place = queue === undefined ? {} : { queue };
    return { what, index, node, topic: topic?.name ?? '', ...place };
  }
}

/** Where a row cannot be read nothing goes: the same damage is told of as for a reader. */
function planError(error: unknown): CallError {
  const isDamage = error instanceof Error && 'code' in error && error.code === 'DATA_LOSS';
  return isDamage ? new CallError('DATA_DAMAGED', error.message) : toCallError(error);
}

function whatIfOf({ disk, ...fields }: DescribeRetentionRequest): WhatIf {
  const { retention_ms: ms, retention_bytes: bytes } = fields;
  const config = {
    ...(ms === undefined ? {} : { retentionMs: int64('retention_ms', ms) }),
    ...(bytes === undefined ? {} : { retentionBytes: int64('retention_bytes', bytes) }),
  };
  if (disk === '') return { config };
  const level = DISK_LEVELS.find((one) => one === disk);
  if (level !== undefined) return { config, disk: level };
  const levels = DISK_LEVELS.join(', ');
  throw new CallError('INVALID_REQUEST', `disk ${JSON.stringify(disk)}: one of ${levels}, or none`);
}

function askedQueues(topic: TopicView, { config, disk }: WhatIf): AskedQueue[] {
  const wanted = { ...topic.config, ...config };
  return topic.queues.map(({ queue, queueId, shard }) => {
    const question = { queueId, config: wanted, ...(disk === undefined ? {} : { disk }) };
    return { topic, queue, shard, question };
  });
}

function queueFields({ queue, shard, topic }: AskedQueue, plan: QueuePlan): object {
  return {
    topic: topic.name,
    queue,
    shard,
    start_offset: plan.startOffset,
    end_offset: plan.endOffset,
    bytes: plan.bytes,
    oldest_at_ms: plan.oldestAtMs,
    new_start_offset: plan.newStartOffset,
    going_messages: plan.newStartOffset - plan.startOffset,
    going_bytes: plan.goingBytes,
  };
}
