import { filters, inTopic, LONG_NAME, ofGroup, type RefusedTables, TOPIC, table } from './table.ts';

const BAD = 'INVALID_ARGUMENT';
const one = { body: Buffer.from('x') };
const produce = { topic: TOPIC, messages: [one] };
const big = '9007199254740992';
/** A time that is far enough ahead for every clock. */
const LATER = 9e12;

const compacted = { topic: `${TOPIC}-compacted`, messages: [{ ...one, key: 'k' }] };
const keyed = (...keys: string[]) => keys.map((key) => ({ ...one, key }));
const NO_DELAYED = ['FAILED_PRECONDITION', 'TOPIC_COMPACTED', /takes no delayed messages/] as const;

const PRODUCE = table(produce, [
  ...Object.values(inTopic),
  [{ topic: '..' }, BAD, 'INVALID_NAME', /neither \. nor \.\./],
  [{ topic: LONG_NAME }, BAD, 'INVALID_NAME', /1 to 127/],
  [{ messages: [] }, BAD, 'EMPTY_BATCH', /holds no message/],
  [{ messages: [{ body: Buffer.alloc(4_000_001) }] }, BAD, 'MESSAGE_TOO_LARGE', /4000000/],
  [{ queue: 3 }, 'NOT_FOUND', 'QUEUE_NOT_FOUND', /queue 3/],
  [{ queue: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /queue is/],
  [{ queue: 0, queue_epoch: 99 }, 'FAILED_PRECONDITION', 'QUEUES_CHANGED', /queue_epoch/],
  [{ durability: 9 }, BAD, 'INVALID_REQUEST', /durability 9 does not exist/],
  [{ ordering_keys: ['a', 'b'] }, BAD, 'INVALID_REQUEST', /2 ordering_keys for 1 messages/],
  [{ ordering_keys: ['x'.repeat(1025)] }, BAD, 'INVALID_REQUEST', /more than 1024 bytes/],
  [
    { messages: [one, one, one, one], ordering_keys: ['a', 'b', 'c', 'd'] },
    ...[BAD, 'KEYS_ON_DIFFERENT_QUEUES', /send one request per queue/],
  ] as never,
  // Producer sequences.
  [{ producer_id: 'p' }, BAD, 'QUEUE_REQUIRED', /must name its queue/],
  [{ producer_id: 'x'.repeat(65), queue: 0 }, BAD, 'INVALID_NAME', /producer_id has 65 bytes/],
  [{ sequence: 1 }, BAD, 'INVALID_REQUEST', /need a producer_id/],
  [{ producer_epoch: 1 }, BAD, 'INVALID_REQUEST', /need a producer_id/],
  [{ queue: 0, producer_id: 'p', sequence: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /sequence/],
  [{ queue: 0, producer_id: 'p', sequence: big }, BAD, 'NUMBER_OUT_OF_RANGE', /sequence/],
  [{ queue: 0, producer_id: 'p', sequence: 5 }, 'FAILED_PRECONDITION', 'SEQUENCE_GAP', /5/],
  // Dedup keys.
  [{ dedup_keys: ['a', 'b'] }, BAD, 'INVALID_REQUEST', /2 dedup_keys for 1 messages/],
  [{ dedup_keys: [''] }, BAD, 'INVALID_REQUEST', /a dedup key is empty/],
  [{ dedup_keys: ['x'.repeat(65)] }, BAD, 'INVALID_REQUEST', /a dedup key has 65 bytes/],
  [{ dedup_keys: ['a'], durability: 2 }, BAD, 'INVALID_REQUEST', /need durability MAJORITY_FSYNC/],
  [{ dedup_keys: ['a'], durability: 4 }, BAD, 'INVALID_REQUEST', /need durability MAJORITY_FSYNC/],
  [
    { topic: `${TOPIC}-off`, dedup_keys: ['a'] },
    ...['FAILED_PRECONDITION', 'DEDUP_OFF', /dedup_window_ms is 0/],
  ] as never,
  // Delays.
  [{ delay_level: 19 }, BAD, 'INVALID_REQUEST', /there are 1 to 18/],
  [{ delay_level: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /delay_level/],
  [{ deliver_at_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /deliver_at_ms/],
  [{ deliver_at_ms: LATER }, BAD, 'INVALID_REQUEST', /40 days, maxDelayMs/],
  [{ delay_level: 1, deliver_at_ms: 1 }, BAD, 'INVALID_REQUEST', /give one of them/],
  [{ delay_level: 1, ordering_keys: ['k'] }, BAD, 'INVALID_REQUEST', /leave ordering_keys out/],
  [{ delay_level: 1, durability: 2 }, BAD, 'INVALID_REQUEST', /needs durability MAJORITY_FSYNC/],
  [{ deliver_at_ms: LATER, durability: 4 }, BAD, 'INVALID_REQUEST', /MAJORITY_FSYNC/],
  // Compacted topics.
  [{ ...compacted, messages: [one] }, BAD, 'KEY_REQUIRED', /message 0 has no key/],
  [{ ...compacted, messages: keyed('k', '') }, BAD, 'KEY_REQUIRED', /message 1 has no key/],
  [{ ...compacted, messages: [one], durability: 3 }, BAD, 'KEY_REQUIRED', /Nothing was stored/],
  [{ ...compacted, messages: [one], durability: 4 }, BAD, 'KEY_REQUIRED', /Nothing was stored/],
  [
    { ...compacted, messages: keyed('k', `${'x'.repeat(255)}é`) },
    ...[BAD, 'INVALID_REQUEST', /message 1 has a key of 257 bytes.*maxCompactedKeyBytes/],
  ] as never,
  [
    { ...compacted, messages: keyed(...Array(1025).fill('k')) },
    ...[BAD, 'TOO_MANY_MESSAGES', /1025 messages.*at most 1024 \(maxCompactedMessages\)/],
  ] as never,
  [
    { ...compacted, messages: keyed('a', 'b', 'c', 'd') },
    ...[BAD, 'KEYS_ON_DIFFERENT_QUEUES', /the keys of the messages fall on queues/],
  ] as never,
  [{ ...compacted, delay_level: 1 }, ...NO_DELAYED],
  [{ ...compacted, deliver_at_ms: LATER }, ...NO_DELAYED],
  [{ ...compacted, deliver_at_ms: 1 }, ...NO_DELAYED],
]);

/** One answer of the stream: the rows of Produce hold, as a request in a frame. */
const frames = PRODUCE.rows.map(({ fields, ...row }) => ({
  fields: { request_id: 1, request: { ...produce, ...fields } },
  ...row,
}));

export const LOG: RefusedTables = {
  'Log/Produce': PRODUCE,
  'Log/ProduceStream': {
    request: { request_id: 1, request: produce },
    rows: [
      ...frames,
      {
        fields: { request_id: -1 },
        ...{ code: BAD, reason: 'NUMBER_OUT_OF_RANGE', text: /request_id/ },
      },
    ],
  },
  'Log/Recall': table({ message_id: '1-1-0' }, [
    [{ message_id: '' }, BAD, 'INVALID_REQUEST', /is not a message id/],
    [{ message_id: 'hf.1.2.3' }, BAD, 'INVALID_REQUEST', /is not a message id/],
    [{ message_id: '1-2-1' }, BAD, 'INVALID_REQUEST', /Give the id of the first/],
    [{ message_id: '99-1-0' }, 'FAILED_PRECONDITION', 'NOT_DELAYED', /./],
    [{ message_id: '1-1-0' }, 'FAILED_PRECONDITION', 'NOT_DELAYED', /./],
  ]),
  'Log/Fetch': table({ topic: TOPIC }, [
    ...Object.values(inTopic),
    [{ queue: 3 }, 'NOT_FOUND', 'QUEUE_NOT_FOUND', /queue 3/],
    [{ queue: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /queue is/],
    [{ offset: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /offset is/],
    [{ offset: big }, BAD, 'NUMBER_OUT_OF_RANGE', /offset is/],
    [{ offset: 1_000_000 }, 'OUT_OF_RANGE', 'OFFSET_OUT_OF_RANGE', /past the end/],
    [{ max_bytes: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /max_bytes is/],
    [{ max_bytes: 16_777_217 }, BAD, 'NUMBER_OUT_OF_RANGE', /maxFetchBytes/],
    [{ max_wait_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /max_wait_ms is/],
    [{ max_messages: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /max_messages is/],
    ...filters,
  ]),
  'Log/Subscribe': table({ start: { topic: TOPIC, queues: [{ queue: 0, offset: 0 }] } }, [
    [{ start: { topic: 'a/b' } }, BAD, 'INVALID_NAME', /topic "a\/b" is not a name/],
    [{ start: { topic: 'none' } }, 'NOT_FOUND', 'TOPIC_NOT_FOUND', /topic create none/],
    [{ start: { topic: TOPIC, topic_id: '9' } }, 'NOT_FOUND', 'TOPIC_RECREATED', /topic_id/],
    [{ start: { topic: TOPIC, group: 'a@b' } }, BAD, 'INVALID_NAME', /group "a@b"/],
    [{ start: { topic: TOPIC, from: 7 } }, BAD, 'INVALID_REQUEST', /from 7 is unknown/],
    [{ start: { topic: TOPIC, credit: -1 } }, BAD, 'NUMBER_OUT_OF_RANGE', /credit is/],
    [{ start: { topic: TOPIC, credit: 10_000_001 } }, BAD, 'NUMBER_OUT_OF_RANGE', /credit/],
    [
      { start: { topic: TOPIC, queues: [{ queue: 0, offset: 0 }], group: 'g' } },
      ...[BAD, 'INVALID_REQUEST', /`queues` with offsets, or `group`/],
    ] as never,
    [
      { start: { topic: TOPIC, queues: [{ queue: 0 }, { queue: 0 }] } },
      ...[BAD, 'INVALID_REQUEST', /named twice/],
    ] as never,
    [
      { start: { topic: TOPIC, queues: [{ queue: 9 }] } },
      ...['NOT_FOUND', 'QUEUE_NOT_FOUND', /queue 9/],
    ] as never,
    [
      { start: { topic: TOPIC, queues: [{ queue: 0, offset: -5 }] } },
      ...[BAD, 'NUMBER_OUT_OF_RANGE', /offset is -5/],
    ] as never,
    ...filters.map(
      ([filter, ...refused]) => [{ start: { topic: TOPIC, ...filter } }, ...refused] as const,
    ),
    [{ start: undefined, credit: 5 }, BAD, 'INVALID_REQUEST', /first frame must be `start`/],
  ]),
  'Log/ListOffsets': table({ topic: TOPIC }, [
    ...Object.values(inTopic),
    [{ queues: [9] }, 'NOT_FOUND', 'QUEUE_NOT_FOUND', /queue 9/],
    [{ queues: [-1] }, BAD, 'NUMBER_OUT_OF_RANGE', /queue is -1/],
    [{ queues: Array(1025).fill(0) }, BAD, 'INVALID_REQUEST', /maxQueuesPerCall/],
    [{ at_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /at_ms is -1/],
  ]),
  'Log/CommitOffset': table({ group: 'g', topic: TOPIC, offsets: [{ queue: 0, offset: 0 }] }, [
    ...Object.values(inTopic),
    ...Object.values(ofGroup),
    [{ offsets: [] }, BAD, 'INVALID_REQUEST', /name at least one queue/],
    [{ offsets: [{ queue: 0, offset: -1 }] }, BAD, 'NUMBER_OUT_OF_RANGE', /offset is -1/],
    [{ offsets: [{ queue: 0, offset: big }] }, BAD, 'NUMBER_OUT_OF_RANGE', /offset is/],
    [{ offsets: [{ queue: -1 }] }, BAD, 'NUMBER_OUT_OF_RANGE', /queue is -1/],
    [{ offsets: [{ queue: 0 }, { queue: 0 }] }, BAD, 'INVALID_REQUEST', /named twice/],
    [{ offsets: [{ queue: 9 }] }, 'NOT_FOUND', 'QUEUE_NOT_FOUND', /queue 9/],
    [
      { offsets: [{ queue: 0, offset: 1_000_000 }] },
      ...['OUT_OF_RANGE', 'OFFSET_PAST_END', /end_offset is/],
    ] as never,
    [{ generation: 1 }, BAD, 'INVALID_REQUEST', /generation and member_id belong together/],
    [{ member_id: 'm' }, BAD, 'INVALID_REQUEST', /generation and member_id belong together/],
    [{ generation: -1, member_id: 'm' }, BAD, 'NUMBER_OUT_OF_RANGE', /generation is -1/],
    [{ member_id: 'x'.repeat(65) }, BAD, 'INVALID_NAME', /member_id has 65 bytes/],
  ]),
  'Log/GetOffset': table({ group: 'g', topic: TOPIC }, [
    ...Object.values(inTopic),
    ...Object.values(ofGroup),
    [{ group: 'nobody' }, 'NOT_FOUND', 'GROUP_NOT_FOUND', /nobody/],
    [{ queues: [9] }, 'NOT_FOUND', 'QUEUE_NOT_FOUND', /queue 9/],
    [{ member_id: 'x'.repeat(65) }, BAD, 'INVALID_NAME', /member_id has 65 bytes/],
  ]),
  'Log/ResetOffsets': table({ group: 'g', topic: TOPIC, from: 1 }, [
    ...Object.values(inTopic),
    ...Object.values(ofGroup),
    [{ group: 'nobody' }, 'NOT_FOUND', 'GROUP_NOT_FOUND', /nobody/],
    [{ from: undefined }, BAD, 'INVALID_REQUEST', /say where to/],
    [{ from: 7 }, BAD, 'INVALID_REQUEST', /EARLIEST or LATEST/],
    [{ queues: [9] }, 'NOT_FOUND', 'QUEUE_NOT_FOUND', /queue 9/],
    [{ from: undefined, at_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /at_ms is -1/],
    [
      { from: undefined, queues: [0], offsets: { offsets: [{ queue: 0 }] } },
      ...[BAD, 'INVALID_REQUEST', /not both/],
    ] as never,
    [
      { from: undefined, offsets: { offsets: [{ queue: 0, offset: 1_000_000 }] } },
      ...['OUT_OF_RANGE', 'OFFSET_PAST_END', /end_offset is/],
    ] as never,
  ]),
};
