/**
 * Messages by a key, at the leader of their shard. A dedup key is known by the state, exactly. The
 * key of a message is in no index, but of compacted queues: others are read from their ends
 * backwards, up to a bound, and what was read is part of the answer.
 */
import type { ShardId } from '../../../raft/types.ts';
import type { QueueView } from '../../broker/api.ts';
import { keyOfMessage } from '../../filter/message-key.ts';
import type { ShardHost } from '../../shards/api.ts';
import { CallError } from '../../status.ts';
import type { Done } from '../call.ts';
import { step } from '../cold.ts';
import {
  type FreshMessages,
  type FreshRead,
  type ReadMessage,
  readFresh,
} from '../deliveries/messages.ts';
import type { QueueName } from '../deliveries/requests.ts';
import { afterRound, decodeJson, encodeJson } from '../internal-methods.ts';
import type { ShardMethod } from '../methods.ts';

export const MAX_MATCHES = 20;
/** Read per question, shared by the queues of the shard; each gets at least a slice. */
const SCAN_BYTES = 32 * 1024 * 1024;
const LEAST_QUEUE_BYTES = 256 * 1024;
/** Read backwards in steps of so many messages. */
const WINDOW = 256;
const FETCH_BYTES = 1024 * 1024;

export interface KeyQuestion {
  readonly queues: readonly QueueName[];
  /** One of the two; '' = not this one. */
  readonly key: string;
  readonly dedupKey: string;
}

export interface KeyMatch {
  readonly queue: number;
  readonly index: number;
  readonly position: number;
  /** null = not known. */
  readonly offset: number | null;
  /** 0 = not known. */
  readonly storedAtMs: number;
}

export interface KeyAnswer {
  readonly matches: readonly KeyMatch[];
  readonly scanned: readonly {
    readonly queue: number;
    readonly from: number;
    readonly end: number;
  }[];
}

export function traceKeysMethod(host: ShardHost): ShardMethod {
  let isScanning = false;
  return {
    name: '.trace/keys',
    kind: 'read',
    perform: (_call, target, body, _parsed, done) =>
      afterRound(host, target, done, () => {
        const question = decodeJson<KeyQuestion>(body);
        if (question.dedupKey !== '') {
          done(undefined, encodeJson(byDedupKey(host, target.shard, question)));
          return;
        }
        if (isScanning) {
          done(new CallError('NODE_BUSY', 'another trace by key reads here: try again'), undefined);
          return;
        }
        isScanning = true;
        scan(host, target.shard, question, (error, answer) => {
          isScanning = false;
          done(error, answer);
        });
      }),
  };
}

function byDedupKey(host: ShardHost, shard: ShardId, { dedupKey, queues }: KeyQuestion): KeyAnswer {
  const data = host.data(shard);
  const nowMs = host.shardTimeMs(shard);
  const matches = queues.flatMap(({ queueId, queue }): KeyMatch[] => {
    const found = data.dedupAnswer(queueId, dedupKey, nowMs);
    if (found === undefined) return [];
    const { at, baseOffset = null, position } = found;
    return [{ queue, index: at.index, position, offset: baseOffset, storedAtMs: 0 }];
  });
  return { matches, scanned: [] };
}

function scan(host: ShardHost, shard: ShardId, question: KeyQuestion, done: Done): void {
  const { key, queues } = question;
  const bytes = Math.max(LEAST_QUEUE_BYTES, Math.floor(SCAN_BYTES / queues.length));
  const all = async (): Promise<KeyAnswer> => {
    const matches: KeyMatch[] = [];
    const scanned: KeyAnswer['scanned'][number][] = [];
    for (const one of queues) {
      const found = await scanQueue(host, shard, one, key, bytes);
      if (found === undefined) continue;
      matches.push(...found.matches);
      scanned.push({ queue: one.queue, from: found.from, end: found.end });
    }
    return { matches, scanned };
  };
  all().then(
    (answer) => done(undefined, encodeJson(answer)),
    (error: unknown) => done(error as CallError, undefined),
  );
}

interface QueueScan {
  readonly matches: readonly KeyMatch[];
  readonly from: number;
  readonly end: number;
}

/** Only windows that were read whole count. undefined = the queue is gone. */
async function scanQueue(
  host: ShardHost,
  shard: ShardId,
  { queueId, queue }: QueueName,
  key: string,
  maxBytes: number,
): Promise<QueueScan | undefined> {
  const view = host.data(shard).queue(queueId);
  if (view === undefined) return undefined;
  if (view.compaction !== undefined) return newestOf(host, shard, view, key);
  const { endOffset: end, startOffset } = view;
  const matches: KeyMatch[] = [];
  let from = end;
  for (let left = maxBytes; from > startOffset && left > 0 && matches.length < MAX_MATCHES; ) {
    const first = Math.max(startOffset, from - WINDOW);
    const window = await readWindow(host, { shard, queueId, first, end: from, maxBytes: left });
    if (window === undefined) break;
    left -= window.bytes;
    from = first;
    const found = window.read.filter(hasKey(key)).map(matchOf(queue));
    matches.push(...found.reverse());
  }
  return { matches: matches.slice(0, MAX_MATCHES), from, end };
}

/** A compacted queue knows where the newest message of a key is: what follows has another one. */
async function newestOf(
  host: ShardHost,
  shard: ShardId,
  { endOffset: end, queue, queueId, startOffset }: QueueView,
  key: string,
): Promise<QueueScan> {
  const newest = host.data(shard).compactedKeys.latest(queueId, key);
  if (newest === undefined) return { matches: [], from: startOffset, end };
  const { offset: from } = newest;
  const place = { shard, queueId, first: from, end: from + 1, maxBytes: FETCH_BYTES };
  const { read = [] } = (await readWindow(host, place)) ?? {};
  return { matches: read.map(matchOf(queue)), from, end };
}

interface Window {
  readonly read: readonly ReadMessage<FreshRead>[];
  readonly bytes: number;
}

/** undefined = it cannot be read whole within the bound; the newest one always can. */
async function readWindow(
  host: ShardHost,
  wanted: {
    readonly shard: ShardId;
    readonly queueId: number;
    readonly first: number;
    readonly end: number;
    readonly maxBytes: number;
  },
): Promise<Window | undefined> {
  const { shard, queueId, first, end, maxBytes } = wanted;
  const read: ReadMessage<FreshRead>[] = [];
  let bytes = 0;
  for (let offset = first; offset < end; ) {
    if (bytes >= maxBytes) return undefined;
    const what = { shard, queueId, offset, count: end - offset, maxBytes: FETCH_BYTES };
    const { read: part, nextOffset } = await step<FreshMessages>((done) => {
      readFresh(host, what, done);
    });
    if (nextOffset === offset) return undefined;
    for (const one of part) bytes += one.bytes.length;
    read.push(...part.filter(({ place }) => place.offset < end));
    offset = nextOffset;
  }
  return { read, bytes };
}

function hasKey(key: string): (read: ReadMessage<FreshRead>) => boolean {
  return ({ bytes }) => keyOfMessage(bytes, 0, bytes.length).key === key;
}

function matchOf(queue: number): (read: ReadMessage<FreshRead>) => KeyMatch {
  return ({ place }) => ({
    ...{ queue, index: place.firstIndex, position: place.position },
    ...{ offset: place.offset, storedAtMs: place.storedAtMs },
  });
}
