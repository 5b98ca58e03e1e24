/** A batch for one queue: whether it is new, whether the queue takes it, and what remembers it. */
import type { Entry } from '../../raft/types.ts';
import { type ApplyResult, type Command, refused } from './commands.ts';
import type { CompactedKeys } from './compacted-keys.ts';
import type { Dedup, SequencedRequest } from './dedup.ts';
import type { DedupKeys } from './dedup-keys.ts';
import type { Delays } from './delays.ts';
import { type QueueState, type Queues, writeRefusal } from './queues.ts';
import { firstAnswer, repeated } from './repeated.ts';
import type { StateWriter } from './state-port.ts';

type Produce = Extract<Command, { type: 'produce' }>;

export interface ProducingParts {
  readonly queues: Queues;
  readonly dedup: Dedup;
  readonly dedupKeys: DedupKeys;
  readonly delays: Delays;
  readonly compactedKeys: CompactedKeys;
}

export function produce(
  command: Produce,
  parts: ProducingParts,
  entry: Entry,
  out: StateWriter,
): ApplyResult {
  const { dedup, dedupKeys, queues } = parts;
  const { count, deliverAtMs = 0, keys, queueEpoch, queueId } = command;
  const queue = queues.get(queueId);
  if (queue === undefined) return refused({ reason: 'QUEUE_NOT_OPEN', queueId });
  const request = hasProducer(command) ? command : undefined;
  if (request !== undefined) {
    const verdict = dedup.check(request);
    if (verdict.type === 'refused') return verdict;
    if (verdict.type === 'repeat') return repeated(firstAnswer(verdict.first), count);
  }
  const keyed = command.dedup === undefined ? undefined : { queueId, count, ...command.dedup };
  if (keyed !== undefined) {
    const verdict = dedupKeys.check(keyed, entry.timeMs);
    if (verdict.type === 'refused') return verdict;
    if (verdict.type === 'repeat') {
      const { first } = verdict;
      // A sequence that is answered is used up, whatever it was answered with.
      if (request !== undefined) dedup.accept(request, undefined, entry, out, first);
      return repeated(first, count);
    }
  }
  // What was stored before is answered so, whatever happened to the queue since.
  const isHidden = deliverAtMs > 0;
  const refusal = writeRefusal(queue, { count, keys, queueEpoch, isHidden });
  if (refusal !== undefined) return refused(refusal);
  const baseOffset = store(command, queue, parts, entry, out);
  if (request !== undefined) dedup.accept(request, baseOffset, entry, out);
  if (keyed !== undefined) dedupKeys.accept(keyed, baseOffset, entry, out);
  const at = { term: entry.term, index: entry.index };
  return { type: 'produced', at, baseOffset, count, duplicate: false };
}

/** undefined = for later. */
function store(
  { count, deliverAtMs = 0, keys, queueId }: Produce,
  queue: QueueState,
  { compactedKeys, delays, queues }: ProducingParts,
  entry: Entry,
  out: StateWriter,
): number | undefined {
  if (deliverAtMs > entry.timeMs) {
    delays.add(entry, { queueId, count, deliverAtMs }, out);
    return undefined;
  }
  const at = { term: entry.term, index: entry.index };
  const batch = { at, count, bytes: entry.payload.length, storedAtMs: entry.timeMs };
  const baseOffset = queues.append(queue, batch, out);
  if (queue.compaction !== undefined && keys !== undefined) {
    compactedKeys.accept(queue, keys, baseOffset, entry.timeMs, out);
  }
  return baseOffset;
}

function hasProducer(command: Produce): command is Produce & SequencedRequest {
  return command.producer !== undefined;
}
