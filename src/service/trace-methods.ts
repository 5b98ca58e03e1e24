/**
 * What the leader of a message's shard knows of it, and what groups committed beyond it: facts of
 * the replicated state and of the log alone. A half message shows its outcome, never its content.
 */

import type { Entry, LogIndex, ShardId } from '../../raft/types.ts';
import { decodeCommand } from '../broker/command-codec.ts';
import type { Command, QueueId } from '../broker/commands.ts';
import { globalText } from '../broker/transaction-parts.ts';
import type { FetchedBatch, ShardHost } from '../shards/api.ts';
import { CallError } from '../status.ts';
import type { Done } from './call.ts';
import { afterRound, decodeJson, encodeJson } from './internal-methods.ts';
import type { ShardMethod } from './methods.ts';

/** How far behind its time a message is looked for in its queue. */
const MAX_FETCHES = 64;
const FETCH_BYTES = 1024 * 1024;
const ALL = Number.MAX_SAFE_INTEGER;

export interface TracedMessage {
  readonly topicId: string;
  readonly queue: number;
  readonly term: number;
  readonly storedAtMs: number;
  /** Of the shard's replicas, how many have the entry. */
  readonly replicas: number;
  readonly kind: 'plain' | 'delayed' | 'half';
  readonly deliverAtMs?: number;
  readonly transaction?: string;
  /** Where it stands; absent = in no queue, or not found there. */
  readonly shown?: { readonly offset: number; readonly atMs: number };
}

export interface GroupPlace {
  readonly group: string;
  readonly offset: number;
  readonly owner: string;
}

export interface TraceQuestion {
  readonly index: LogIndex;
  readonly position: number;
}

export function createTraceMethods(host: ShardHost): {
  readonly message: ShardMethod;
  readonly places: ShardMethod;
} {
  return {
    message: {
      name: '.trace/message',
      kind: 'read',
      perform: (_call, { shard }, body, _parsed, done) =>
        afterRound(host, { shard, queueId: 0, queue: 0, variant: 0 }, done, () =>
          traceMessage(host, shard, decodeJson<TraceQuestion>(body), done),
        ),
    },
    places: {
      name: '.trace/places',
      kind: 'read',
      perform: (_call, target, body, _parsed, done) =>
        afterRound(host, target, done, () => {
          const { topicId, queue } = decodeJson<{ topicId: string; queue: number }>(body);
          done(undefined, encodeJson(placesOf(host, target.shard, topicId, queue)));
        }),
    },
  };
}

function traceMessage(host: ShardHost, shard: ShardId, question: TraceQuestion, done: Done): void {
  const { index, position } = question;
  host.readEntry(shard, index, (error, entry) => {
    if (error !== undefined) {
      done(
        new CallError('DATA_DAMAGED', `entry ${index} of shard ${shard}: ${error.message}`),
        undefined,
      );
      return;
    }
    const command = entry === undefined ? undefined : storedBy(entry);
    if (entry === undefined || command === undefined || position >= command.count) {
      done(messageNotFound(), undefined);
      return;
    }
    const known = factsOf(host, shard, entry, command);
    if (known.kind === 'delayed' && host.data(shard).delayed(index) !== undefined) {
      done(undefined, encodeJson(known));
      return;
    }
    const fromMs = Math.max(entry.timeMs, known.deliverAtMs ?? 0);
    find(host, { shard, queueId: command.queueId, index, position, fromMs }, (shown) => {
      done(undefined, encodeJson(shown === undefined ? known : { ...known, shown }));
    });
  });
}

export function messageNotFound(): CallError {
  return new CallError(
    'MESSAGE_NOT_FOUND',
    'no such message: never stored under this id, or deleted since (retention)',
  );
}

type Stored = Extract<Command, { readonly type: 'produce' | 'prepare' | 'preparePart' }>;

function storedBy(entry: Entry): Stored | undefined {
  if (entry.head.length === 0) return undefined;
  const command = decodeCommand(entry.head);
  const { type } = command;
  return type === 'produce' || type === 'prepare' || type === 'preparePart' ? command : undefined;
}

function factsOf(host: ShardHost, shard: ShardId, entry: Entry, command: Stored): TracedMessage {
  const data = host.data(shard);
  const { topicId = '', queue = 0 } = data.queue(command.queueId) ?? {};
  const status = host.status().find((one) => one.shard === shard);
  const replicas = status?.replicas.filter(({ matchIndex }) => matchIndex >= entry.index) ?? [];
  const at = { term: entry.term, storedAtMs: entry.timeMs, replicas: replicas.length };
  const known = { topicId, queue, ...at };
  if (command.type === 'prepare') {
    const id = { term: entry.term, index: entry.index };
    const found = data.transaction(command.producerGroup, { by: 'id', id });
    return { ...known, kind: 'half', transaction: found?.state ?? 'forgotten' };
  }
  if (command.type === 'preparePart') {
    // Its coordinator knows the outcome; here it is held until that comes.
    const held = [...data.heldSince(entry.timeMs)].map(globalText);
    const isHeld = held.includes(globalText(command.transaction));
    return { ...known, kind: 'half', transaction: isHeld ? 'undecided' : 'forgotten' };
  }
  const { deliverAtMs } = command;
  return deliverAtMs === undefined
    ? { ...known, kind: 'plain' }
    : { ...known, kind: 'delayed', deliverAtMs };
}

interface Search {
  readonly shard: ShardId;
  readonly queueId: QueueId;
  readonly index: LogIndex;
  readonly position: number;
  readonly fromMs: number;
}

type Found = TracedMessage['shown'];

/** From the first message of that time on, in slices, no further than a bound. */
function find(host: ShardHost, search: Search, done: (shown: Found) => void): void {
  const { shard, queueId, fromMs } = search;
  if (host.data(shard).queue(queueId) === undefined) {
    done(undefined);
    return;
  }
  host.offsetAtTime(shard, queueId, fromMs, (error, offset) => {
    if (error === undefined) look(host, search, offset, MAX_FETCHES, done);
    else done(undefined);
  });
}

function look(
  host: ShardHost,
  search: Search,
  offset: number,
  left: number,
  done: (shown: Found) => void,
): void {
  const { shard, queueId } = search;
  const what = { shard, queueId, offset, maxBytes: FETCH_BYTES, maxMessages: 0 };
  host.fetch({ ...what, waitMs: 0, linearizable: false }, (outcome) => {
    if (outcome.status !== 'ok' || outcome.batches.length === 0) {
      done(undefined);
      return;
    }
    const found = outcome.batches.find((batch) => holds(batch, search));
    if (found !== undefined) {
      const at = found.baseOffset + search.position - found.firstPosition;
      done({ offset: at, atMs: found.row.storedAtMs });
    } else if (left > 1) look(host, search, outcome.nextOffset, left - 1, done);
    else done(undefined);
  });
}

function holds({ firstIndex, firstPosition, count }: FetchedBatch, search: Search): boolean {
  const { index, position } = search;
  return firstIndex === index && position >= firstPosition && position < firstPosition + count;
}

/** Groups of this shard that committed on the queue. */
function placesOf(host: ShardHost, shard: ShardId, topicId: string, queue: number): GroupPlace[] {
  const data = host.data(shard);
  return data.groupNames('', ALL).flatMap((group) => {
    const at = data.groupOffsets(group, topicId).find((one) => one.queue === queue);
    const share = data.membership(group)?.topics.get(topicId)?.queues[queue];
    if (at === undefined && share === undefined) return [];
    return [{ group, offset: at?.offset ?? 0, owner: share?.owner ?? '' }];
  });
}
