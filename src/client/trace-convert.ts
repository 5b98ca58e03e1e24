/** Trace, between its wire form and ours. */
import { int, list, optionalInt } from './convert.ts';
import type { WireObject } from './proto.ts';
import type { MessageTrace, TraceTarget } from './types.ts';

export function traceOut(target: TraceTarget): WireObject {
  if (typeof target === 'string') return { message_id: target };
  const { topic } = target;
  return 'key' in target ? { topic, key: target.key } : { topic, dedup_key: target.dedupKey };
}

export function traceIn(answer: WireObject): MessageTrace {
  const events = list(answer.events).map(({ what, at_ms: atMs, facts }) => ({
    what: String(what),
    atMs: timeIn(atMs),
    facts: facts as Readonly<Record<string, string>>,
  }));
  const matches = list(answer.matches).map((match) => ({
    messageId: String(match.message_id),
    queue: int(match.queue),
    offset: optionalInt(match, 'offset'),
    storedAtMs: timeIn(match.stored_at_ms),
  }));
  const scanned = list(answer.scanned).map((one) => ({
    queue: int(one.queue),
    fromOffset: int(one.from_offset),
    endOffset: int(one.end_offset),
  }));
  return {
    messageId: String(answer.message_id),
    topic: String(answer.topic),
    topicId: String(answer.topic_id),
    queue: int(answer.queue),
    ...{ events, matches, scanned },
  };
}

/** 0 stands for what is not known. */
function timeIn(value: unknown): number | undefined {
  const atMs = int(value);
  return atMs === 0 ? undefined : atMs;
}
