/**
 * What a shard's leader does, whoever asks: the same executor runs for a call that arrived at this
 * node and for one that another node forwarded (design section 3, "Life of a produce").
 */
import type { TopicView } from '../cluster/api.ts';
import type { Call, Done } from './call.ts';

/** Where a call goes, settled by the node that the client asked, so that the leader need not. */
export interface Target {
  readonly shard: number;
  /** 0 for calls that concern the shard as a whole. */
  readonly queueId: number;
  readonly queue: number;
  /** Per method: the durability of a produce, the layout of a fetch. */
  readonly variant: number;
  /** At which a write picked its queue; absent = before the topic's queues were ever fenced. */
  readonly queueEpoch?: number;
}

export interface ShardMethod {
  /** A gRPC path, or an internal name that starts with a dot. */
  readonly name: string;
  /** A write is never sent again once a byte of it left; a read is. */
  readonly kind: 'read' | 'write';
  /**
   * Runs on the leader that is ready. `parsed` is what this node read from the body already
   * (undefined for a forwarded call). A NOT_LEADER error means that nothing was done.
   */
  perform(call: Call, target: Target, body: Uint8Array, parsed: unknown, done: Done): void;
}

/** What every node answers for itself. */
export interface NodeMethod {
  readonly name: string;
  perform(call: Call, body: Uint8Array, done: Done): void;
}

/**
 * `NAME?shard.queueId.queue.variant`, and `.queueEpoch` where there is one: the target travels in
 * the name, the body stays untouched.
 */
export function encodeMethod(name: string, target: Target): string {
  const { shard, queueId, queue, variant, queueEpoch } = target;
  const text = `${name}?${shard}.${queueId}.${queue}.${variant}`;
  return queueEpoch === undefined ? text : `${text}.${queueEpoch}`;
}

const TARGET = /^([0-9]{1,9})\.([0-9]{1,15})\.([0-9]{1,9})\.([0-9]{1,3})(?:\.([0-9]{1,15}))?$/;

/** The target is undefined for a node method. */
export function decodeMethod(text: string): { name: string; target: Target | undefined } {
  const at = text.indexOf('?');
  if (at < 0) return { name: text, target: undefined };
  const match = TARGET.exec(text.slice(at + 1));
  if (match === null) return { name: text, target: undefined };
  const [shard, queueId, queue, variant] = match.slice(1, 5).map(Number);
  const target = { shard: shard!, queueId: queueId!, queue: queue!, variant: variant! };
  const epoch = match[5] === undefined ? {} : { queueEpoch: Number(match[5]) };
  return { name: text.slice(0, at), target: { ...target, ...epoch } };
}

/** Of a write that was picked by this view of its topic: what a fence judges it by. */
export function pickedAt({
  minQueueEpoch,
  queueEpoch,
}: Pick<TopicView, 'minQueueEpoch' | 'queueEpoch'>): { readonly queueEpoch?: number } {
  return minQueueEpoch === 0 ? {} : { queueEpoch };
}

export function shardTarget(shard: number): Target {
  return { shard, queueId: 0, queue: 0, variant: 0 };
}
