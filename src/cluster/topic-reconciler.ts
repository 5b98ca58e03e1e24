/**
 * Makes the data shards what the metadata says: opens the queues of new and growing topics, fences
 * those of topics that refuse writes, closes those of deleted ones, then reports back to the
 * metadata shard. Runs where the metadata leader is; everything it sends is idempotent, so a
 * successor simply starts over from the record.
 *
 *   pending ──► calls to shards, all acknowledged ──► topicOpened, …Fenced or …Closed ──► done
 */
import type { ShardId } from '../../raft/types.ts';
import type { Command } from '../broker/commands.ts';
import type { MetaCommand, PendingTopic } from './api.ts';

export interface ReconcilerPorts {
  /** Of the local metadata replica. */
  pendingTopics(): readonly PendingTopic[];
  readonly dataShards: readonly ShardId[];
  /**
   * Proposes the command to the shard, wherever it is led. `done` exactly once; not ok with
   * `retryLater`: the shard is not available now.
   */
  callShard(
    shard: ShardId,
    command: Command,
    done: (ok: boolean, retryLater?: boolean) => void,
  ): void;
  proposeMeta(command: MetaCommand, done: (ok: boolean) => void): void;
  /** Calls back once after `delayMs`; returns how to call it off. */
  startTimer(delayMs: number, fire: () => void): () => void;
}

export interface ReconcilerLimits {
  /** Calls to shards under way at once. */
  readonly maxConcurrentCalls: number;
  readonly firstBackoffMs: number;
  readonly maxBackoffMs: number;
}

export const RECONCILER_LIMITS: ReconcilerLimits = Object.freeze({
  maxConcurrentCalls: 64,
  firstBackoffMs: 100,
  maxBackoffMs: 5000,
});

export interface TopicReconciler {
  /** Entries of the metadata shard were applied here. */
  metaApplied(): void;
  /** This node leads the metadata shard and has applied all that was committed before. */
  becameReady(): void;
  deposed(): void;
  /** The shard has a ready leader (again). */
  shardAvailable(shard: ShardId): void;
}

type Report = Extract<MetaCommand, { type: 'topicOpened' | 'topicFenced' | 'topicClosed' }>;

interface Call {
  readonly work: Work;
  readonly shard: ShardId;
  readonly command: Command;
}

/** One pending topic being brought about. */
interface Work {
  readonly signature: string;
  readonly report: Report;
  /** Calls not yet acknowledged. */
  callsLeft: number;
  isReporting: boolean;
}

export function createTopicReconciler(
  ports: ReconcilerPorts,
  limits: ReconcilerLimits = RECONCILER_LIMITS,
): TopicReconciler {
  return new Reconciler(ports, limits);
}

class Reconciler implements TopicReconciler {
  readonly #ports: ReconcilerPorts;
  readonly #limits: ReconcilerLimits;
  #isReady = false;
  /** By topic id. Work that is no longer here is void: answers to its calls are ignored. */
  readonly #works = new Map<string, Work>();
  #waiting: Call[] = [];
  readonly #failed = new Set<Call>();
  #callsUnderWay = 0;
  #backoffMs: number;
  #stopTimer: (() => void) | undefined;
  #isPumping = false;

  constructor(ports: ReconcilerPorts, limits: ReconcilerLimits) {
    this.#ports = ports;
    this.#limits = limits;
    this.#backoffMs = limits.firstBackoffMs;
  }

  becameReady(): void {
    this.#isReady = true;
    this.#look();
  }

  metaApplied(): void {
    if (this.#isReady) this.#look();
  }

  deposed(): void {
    this.#isReady = false;
    this.#works.clear();
    this.#waiting = [];
    this.#failed.clear();
    this.#backoffMs = this.#limits.firstBackoffMs;
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  shardAvailable(shard: ShardId): void {
    for (const call of this.#failed) {
      if (call.shard !== shard) continue;
      this.#failed.delete(call);
      this.#waiting.push(call);
    }
    this.#pump();
  }

  /** Compares what is pending with what is being done. */
  #look(): void {
    const pending = this.#ports.pendingTopics();
    const signatures = new Map(pending.map((topic) => [topic.topicId, signatureOf(topic)]));
    for (const [topicId, work] of this.#works) {
      if (signatures.get(topicId) !== work.signature) this.#drop(topicId, work);
    }
    for (const topic of pending) {
      if (!this.#works.has(topic.topicId)) this.#start(topic);
    }
    this.#pump();
  }

  #start(topic: PendingTopic): void {
    const { topicId } = topic;
    const signature = signatureOf(topic);
    const work: Work = { signature, report: reportOf(topic), callsLeft: 0, isReporting: false };
    const calls = callsFor(topic, work, this.#ports.dataShards);
    work.callsLeft = calls.length;
    this.#works.set(topicId, work);
    for (const call of calls) this.#waiting.push(call);
  }

  #drop(topicId: string, work: Work): void {
    this.#works.delete(topicId);
    this.#waiting = this.#waiting.filter((call) => call.work !== work);
    for (const call of this.#failed) {
      if (call.work === work) this.#failed.delete(call);
    }
  }

  /** Not reentered when a port answers at once: a long list must not become a deep stack. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.#waiting.length > 0 && this.#callsUnderWay < this.#limits.maxConcurrentCalls) {
      this.#send(this.#waiting.shift()!);
    }
    this.#isPumping = false;
  }

  #send(call: Call): void {
    this.#callsUnderWay += 1;
    this.#ports.callShard(call.shard, call.command, (ok) => {
      this.#callsUnderWay -= 1;
      if (this.#isCurrent(call.work)) this.#answered(call, ok);
      this.#pump();
    });
  }

  #answered(call: Call, ok: boolean): void {
    if (!ok) {
      this.#failed.add(call);
      this.#armTimer();
      return;
    }
    this.#backoffMs = this.#limits.firstBackoffMs;
    call.work.callsLeft -= 1;
    if (call.work.callsLeft === 0) this.#reportOn(call.work);
  }

  #reportOn(work: Work): void {
    work.isReporting = true;
    this.#ports.proposeMeta(work.report, (ok) => {
      if (ok || !this.#isCurrent(work)) return;
      work.isReporting = false;
      this.#armTimer();
    });
  }

  #armTimer(): void {
    if (this.#stopTimer !== undefined) return;
    this.#stopTimer = this.#ports.startTimer(this.#backoffMs, () => this.#retryAll());
    this.#backoffMs = Math.min(this.#backoffMs * 2, this.#limits.maxBackoffMs);
  }

  #retryAll(): void {
    this.#stopTimer = undefined;
    this.#waiting.push(...this.#failed);
    this.#failed.clear();
    for (const work of [...this.#works.values()]) {
      if (work.callsLeft === 0 && !work.isReporting) this.#reportOn(work);
    }
    this.#pump();
  }

  #isCurrent(work: Work): boolean {
    return this.#works.get(work.report.topicId) === work;
  }
}

/** Same signature = same work. */
function signatureOf(topic: PendingTopic): string {
  if (topic.phase === 'open') return `open ${topic.queueCount}`;
  return topic.phase === 'fence' ? `fence ${topic.minQueueEpoch}` : 'close';
}

/** What is said when all calls are acknowledged. */
function reportOf(topic: PendingTopic): Report {
  const { topicId } = topic;
  switch (topic.phase) {
    case 'open':
      return { type: 'topicOpened', topicId, queueCount: topic.queueCount };
    case 'fence':
      return { type: 'topicFenced', topicId, minQueueEpoch: topic.minQueueEpoch };
    case 'close':
      return { type: 'topicClosed', topicId };
  }
}

function callsFor(topic: PendingTopic, work: Work, dataShards: readonly ShardId[]): Call[] {
  const { topicId } = topic;
  if (topic.phase === 'open') {
    const { compaction } = topic;
    return topic.queues.map(({ queueId, queue, shard }) => ({
      work,
      shard,
      command: { type: 'openQueue', queueId, topicId, queue, compaction },
    }));
  }
  if (topic.phase === 'fence') {
    const { minQueueEpoch } = topic;
    return topic.queues.map(({ queueId, shard }) => ({
      work,
      shard,
      command: { type: 'fenceQueue', queueId, minQueueEpoch },
    }));
  }
  const closes = topic.queues.map(
    ({ queueId, shard }): Call => ({ work, shard, command: { type: 'closeQueue', queueId } }),
  );
  const forgets = dataShards.map(
    (shard): Call => ({ work, shard, command: { type: 'forgetTopic', topicId } }),
  );
  return [...closes, ...forgets];
}
