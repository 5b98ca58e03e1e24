/** A request to store messages, and the line that every attempt at it leaves. */
import { ACKS_LAST_AT, attemptOf, type Load, TOPIC, type Topic } from './load.ts';
import type { ProduceAck, ProduceRequest } from './methods.ts';
import type { Answer } from './node-stub.ts';
import { keyedMessageOf, messageOf } from './payload.ts';

export interface Write {
  readonly queue: number;
  readonly values: readonly string[];
  /** Absent: the topic of the run. */
  readonly topic?: Topic;
  /** Of all its messages. */
  readonly key?: string;
  /** Absent: a plain one, of which a repetition may be stored again. */
  readonly producer?: { readonly id: string; readonly epoch: number; readonly sequence: number };
  /** Delayed until then, by the clock of the run. */
  readonly deliverAtMs?: number;
  /** Its values are its dedup keys, instead of a sequence; whoever sends it. */
  readonly keyedBy?: string;
}

export function requestOf(write: Write): ProduceRequest {
  const { queue, values, topic, key, producer, deliverAtMs, keyedBy } = write;
  return {
    ...(keyedBy === undefined ? {} : { dedup_keys: values }),
    topic: topic?.name ?? TOPIC,
    queue,
    ...(topic === undefined ? {} : { topic_id: topic.id }),
    ...(producer === undefined
      ? {}
      : {
          producer_id: producer.id,
          producer_epoch: producer.epoch,
          sequence: producer.sequence,
        }),
    ...(deliverAtMs === undefined ? {} : { deliver_at_ms: wallMs(deliverAtMs) }),
    messages: values.map((value) => {
      return key === undefined ? messageOf(value) : keyedMessageOf(value, key);
    }),
  };
}

export function recordProduce(
  load: Load,
  process: string,
  { queue, values, topic, key, producer, deliverAtMs, keyedBy }: Write,
  answer: Answer<ProduceAck>,
): void {
  const acked = answer.outcome === 'ok' ? answer.value : undefined;
  const { id = keyedBy, epoch = 0, sequence } = producer ?? {};
  load.record({
    type: 'produce',
    ...attemptOf(process, answer),
    ...(topic === undefined ? { queue } : { topic: topic.id, queue }),
    ...(id === undefined ? {} : { producer: id }),
    ...(epoch === 0 ? {} : { epoch }),
    // What is delayed stands in the order of its times: its sequence orders nothing.
    ...(deliverAtMs === undefined
      ? { ...(sequence === undefined ? {} : { sequence }) }
      : { deliverAtMs }),
    values,
    ...(key === undefined ? {} : { key }),
    ...(acked?.base_offset === undefined ? {} : { baseOffset: acked.base_offset }),
    ...(acked?.duplicate === true ? { duplicate: true } : {}),
  });
  if (acked === undefined) return;
  // Weaker levels answer before the place is certain. Other topics have the default.
  const isPrompt = deliverAtMs === undefined;
  const owesOffset = isPrompt && (topic !== undefined || load.level === ACKS_LAST_AT);
  const lacksOffset = owesOffset && acked.base_offset === undefined;
  if (lacksOffset || acked.count !== values.length) {
    load.trouble(process, `${values[0]}: an ack of ${acked.count} without an offset`);
  }
}

/** Of that moment of the run, as nodes that tell the right time have it. */
function wallMs(atMs: number): number {
  return Math.round(performance.timeOrigin + atMs);
}

/** How many messages the next request holds, or any other small choice. */
export function random(below: number): number {
  return Math.floor(Math.random() * below);
}
