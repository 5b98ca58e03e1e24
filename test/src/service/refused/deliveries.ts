import { filters, inTopic, ofGroup, paged, type RefusedTables, TOPIC, table } from './table.ts';

const BAD = 'INVALID_ARGUMENT';
const name = { group: 'refused', topic: TOPIC };
/** Of no topic that there is. */
const token = 'd.999999.2.3';
const { noName: _noTopic, ...namedTopic } = inTopic;
const { recreated: _recreated, ...topicOnly } = inTopic;
const { unknown, badName } = inTopic;

const letters = [...Object.values(ofGroup), unknown, badName, ...Object.values(paged)] as const;
const chosen = [
  ...Object.values(ofGroup),
  [{}, BAD, 'INVALID_REQUEST', /give message_ids, or `all`/],
  [{ all: true, message_ids: ['1-2-3'] }, BAD, 'INVALID_REQUEST', /one of them/],
  [{ topic: TOPIC, message_ids: ['1-2-3'] }, BAD, 'INVALID_REQUEST', /leave `topic` out/],
  [{ message_ids: ['x'] }, BAD, 'INVALID_REQUEST', /is not a message id/],
  [{ message_ids: Array(1025).fill('1-1-1') }, BAD, 'INVALID_REQUEST', /at most 1024/],
  [{ all: true, topic: 'none' }, 'NOT_FOUND', 'TOPIC_NOT_FOUND', /none/],
] as const;

export const DELIVERIES: RefusedTables = {
  'Deliveries/Receive': table(name, [
    ...Object.values(inTopic),
    ...Object.values(ofGroup),
    [{ max_messages: 257 }, BAD, 'NUMBER_OUT_OF_RANGE', /between 0 and 256/],
    [{ max_messages: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /max_messages is -1/],
    [{ lease_ms: 999 }, BAD, 'NUMBER_OUT_OF_RANGE', /lease_ms is 999: .* 1000 and 43200000/],
    [{ lease_ms: 43_200_001 }, BAD, 'NUMBER_OUT_OF_RANGE', /\(12 h\)/],
    [{ max_wait_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /max_wait_ms is -1/],
    [{ from: 7 }, BAD, 'INVALID_REQUEST', /EARLIEST or LATEST/],
    [
      { topic: `${TOPIC}-compacted` },
      ...['FAILED_PRECONDITION', 'TOPIC_COMPACTED', /not message by message/],
    ] as never,
    [{ consumer: 'x'.repeat(65) }, BAD, 'INVALID_NAME', /consumer has 65 bytes/],
    ...filters,
    [
      { filter: { type: 1, expression: 'a' } },
      ...['FAILED_PRECONDITION', 'SUBSCRIPTION_FILTER', /was subscribed without a filter/],
    ] as never,
  ]),
  'Deliveries/Ack': table({ ...name, tokens: [token] }, [
    ...Object.values(topicOnly),
    ...Object.values(ofGroup),
    [{}, BAD, 'INVALID_REQUEST', /token 0 is not of topic/],
    [{ tokens: [] }, BAD, 'INVALID_REQUEST', /no token given/],
    [{ tokens: ['x'] }, BAD, 'INVALID_REQUEST', /token "x" is not one that Receive gave/],
    [{ tokens: Array(1025).fill(token) }, BAD, 'INVALID_REQUEST', /at most 1024/],
  ]),
  'Deliveries/Nack': table({ ...name, items: [{ token }] }, [
    ...Object.values(topicOnly),
    ...Object.values(ofGroup),
    [{}, BAD, 'INVALID_REQUEST', /token 0 is not of topic/],
    [{ items: [] }, BAD, 'INVALID_REQUEST', /no token given/],
    [{ items: [{ token: '' }] }, BAD, 'INVALID_REQUEST', /is not one that Receive gave/],
    [{ items: [{ token, delay_ms: -1 }] }, BAD, 'NUMBER_OUT_OF_RANGE', /delay_ms is -1/],
    [{ items: [{ token, delay_ms: 43_200_001 }] }, BAD, 'NUMBER_OUT_OF_RANGE', /43200000/],
  ]),
  'Deliveries/Extend': table({ ...name, tokens: [token], extend_ms: 1000 }, [
    ...Object.values(topicOnly),
    ...Object.values(ofGroup),
    [{}, BAD, 'INVALID_REQUEST', /token 0 is not of topic/],
    [{ tokens: [] }, BAD, 'INVALID_REQUEST', /no token given/],
    [{ extend_ms: 0 }, BAD, 'NUMBER_OUT_OF_RANGE', /extend_ms is 0/],
    [{ extend_ms: 43_200_001 }, BAD, 'NUMBER_OUT_OF_RANGE', /12 h/],
  ]),
  'Deliveries/ListSubscriptions': table({}, [ofGroup.badName, paged.negative, paged.large]),
  'Deliveries/DescribeSubscription': table(name, [
    ...Object.values(namedTopic),
    ...Object.values(ofGroup),
    [{ group: 'nobody' }, 'NOT_FOUND', 'SUBSCRIPTION_NOT_FOUND', /is not subscribed to/],
  ]),
  'Deliveries/SeekSubscription': table({ ...name, from: 1 }, [
    ...Object.values(namedTopic),
    ...Object.values(ofGroup),
    [{ group: 'nobody' }, 'NOT_FOUND', 'SUBSCRIPTION_NOT_FOUND', /is not subscribed to/],
    [{ from: undefined }, BAD, 'INVALID_REQUEST', /say where to/],
    [{ from: 0 }, BAD, 'INVALID_REQUEST', /EARLIEST or LATEST/],
    [{ from: undefined, offset: 1 }, BAD, 'INVALID_REQUEST', /exactly one queue, not 0/],
    [{ from: undefined, at_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /at_ms is -1/],
    [{ queues: [9] }, 'NOT_FOUND', 'QUEUE_NOT_FOUND', /queue 9/],
  ]),
  'Deliveries/DeleteSubscription': table(name, [
    ...Object.values(namedTopic),
    ...Object.values(ofGroup),
    [{ group: 'nobody' }, 'NOT_FOUND', 'SUBSCRIPTION_NOT_FOUND', /is not subscribed to/],
  ]),
  'Deliveries/ListDeadLetters': table({ group: 'g' }, letters),
  'Deliveries/ReadDeadLetters': table({ group: 'g' }, letters),
  'Deliveries/ResendDeadLetters': table({ group: 'g' }, chosen),
  'Deliveries/PurgeDeadLetters': table({ group: 'g' }, chosen),
};
