import { paged, type RefusedTables, TOPIC, table } from './table.ts';

const BAD = 'INVALID_ARGUMENT';
const part = { topic: TOPIC, queue: 0, messages: [{ body: Buffer.from('x') }] };
const compacted = { ...part, topic: `${TOPIC}-compacted` };
const offsets = (fields: object = {}) => [
  { group: 'g', topic: TOPIC, offsets: [{ queue: 0, offset: 1 }], ...fields },
];

export const TRANSACTIONS: RefusedTables = {
  'Transactions/Prepare': table({ producer_group: 'p', parts: [part] }, [
    [{ producer_group: '' }, BAD, 'INVALID_REQUEST', /producer_group is missing/],
    [{ producer_group: 'x'.repeat(128) }, BAD, 'INVALID_NAME', /producer_group has 128 bytes/],
    [{ parts: [] }, BAD, 'INVALID_REQUEST', /needs one part/],
    [{ parts: Array(65).fill(part) }, BAD, 'INVALID_REQUEST', /maxPartsPerTransaction/],
    ...[[compacted], [part, compacted]].map(
      (parts) =>
        [{ parts }, 'FAILED_PRECONDITION', 'TOPIC_COMPACTED', /takes no half messages/] as const,
    ),
    [{ parts: [part, part] }, BAD, 'INVALID_REQUEST', /two parts for one queue/],
    [{ parts: [{ ...part, messages: [] }] }, BAD, 'EMPTY_BATCH', /holds no message/],
    [{ parts: [{ ...part, topic: 'none' }] }, 'NOT_FOUND', 'TOPIC_NOT_FOUND', /create none/],
    [{ parts: [{ ...part, topic: 'a/b' }] }, BAD, 'INVALID_NAME', /topic "a\/b"/],
    [{ parts: [{ ...part, topic_id: '9' }] }, 'NOT_FOUND', 'TOPIC_RECREATED', /topic_id/],
    [{ parts: [{ ...part, queue: 9 }] }, 'NOT_FOUND', 'QUEUE_NOT_FOUND', /queue 9/],
    [{ transaction_id: 'x'.repeat(65) }, BAD, 'INVALID_NAME', /transaction_id has 65 bytes/],
    [{ transaction_id: 'hf.1.2.3' }, BAD, 'INVALID_NAME', /must not begin like ours/],
    [
      { transaction_id: 'x', parts: [{ ...part, queue: undefined }] },
      ...[BAD, 'QUEUE_REQUIRED', /name the queue/],
    ] as never,
    [{ offsets: offsets({ group: 'a b' }) }, BAD, 'INVALID_NAME', /group/],
    [{ offsets: offsets({ topic: 'none' }) }, 'NOT_FOUND', 'TOPIC_NOT_FOUND', /none/],
    [{ offsets: offsets({ offsets: [] }) }, BAD, 'INVALID_REQUEST', /no queue/],
    [{ offsets: [...offsets(), ...offsets()] }, BAD, 'INVALID_REQUEST', /a topic twice/],
    [
      { offsets: [...offsets(), ...offsets({ group: 'other' })] },
      ...[BAD, 'INVALID_REQUEST', /one group/],
    ] as never,
    [
      { offsets: offsets({ offsets: [{ queue: 0, from: 5, offset: 5 }] }) },
      ...[BAD, 'INVALID_REQUEST', /not above/],
    ] as never,
    [
      { offsets: offsets({ offsets: [{ queue: 0, offset: 1_000_000 }] }) },
      ...['OUT_OF_RANGE', 'OFFSET_PAST_END', /end_offset/],
    ] as never,
  ]),
  'Transactions/End': table({ producer_group: 'p', transaction_id: 'hf.1.1.999', decision: 1 }, [
    [{}, 'NOT_FOUND', 'TRANSACTION_NOT_FOUND', /./],
    [{ transaction_id: 'hf.77.1.1' }, 'NOT_FOUND', 'TRANSACTION_NOT_FOUND', /./],
    [{ producer_group: '' }, BAD, 'INVALID_REQUEST', /producer_group is missing/],
    [{ transaction_id: '' }, BAD, 'INVALID_REQUEST', /transaction_id is missing/],
    [{ transaction_id: 'mine' }, BAD, 'QUEUE_REQUIRED', /give topic and queue too/],
    [{ decision: 0 }, BAD, 'INVALID_REQUEST', /COMMIT, ROLLBACK or UNKNOWN/],
    [{ decision: 4 }, BAD, 'INVALID_REQUEST', /COMMIT, ROLLBACK or UNKNOWN/],
    [{ operator: true }, BAD, 'INVALID_REQUEST', /leave producer_group/],
    [
      { operator: true, producer_group: '', decision: 3 },
      ...[BAD, 'INVALID_REQUEST', /an operator decides: COMMIT or ROLLBACK/],
    ] as never,
    [
      { operator: true, producer_group: '', transaction_id: 'mine' },
      ...[BAD, 'INVALID_REQUEST', /as List answers it/],
    ] as never,
  ]),
  'Transactions/PollChecks': table({ producer_group: 'p' }, [
    [{ producer_group: '' }, BAD, 'INVALID_REQUEST', /producer_group is missing/],
    [{ producer_group: 'x'.repeat(128) }, BAD, 'INVALID_NAME', /producer_group has 128 bytes/],
    [{ max_checks: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /max_checks is -1/],
    [{ max_checks: 257 }, BAD, 'NUMBER_OUT_OF_RANGE', /between 0 and 256/],
    [{ max_wait_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /max_wait_ms is -1/],
    [{ check_lease_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /check_lease_ms is -1/],
    [{ check_lease_ms: 86_400_001 }, BAD, 'NUMBER_OUT_OF_RANGE', /86400000/],
  ]),
  'Transactions/WatchChecks': table({ producer_group: 'p' }, [
    [{ producer_group: '' }, BAD, 'INVALID_REQUEST', /producer_group is missing/],
    [{ producer_group: 'x'.repeat(128) }, BAD, 'INVALID_NAME', /producer_group has 128 bytes/],
    [{ check_lease_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /check_lease_ms is -1/],
  ]),
  'Transactions/List': table({}, [
    ...Object.values(paged),
    [{ state: 2 }, BAD, 'INVALID_REQUEST', /UNDECIDED or PARKED/],
    [{ state: 9 }, BAD, 'INVALID_REQUEST', /state 9/],
  ]),
  'Transactions/Resume': table({ transaction_id: 'hf.1.1.999' }, [
    [{}, 'NOT_FOUND', 'TRANSACTION_NOT_FOUND', /./],
    [{ transaction_id: 'mine' }, BAD, 'INVALID_REQUEST', /those begin with hf\./],
    [{ transaction_id: 'hf.0.7.1' }, 'NOT_FOUND', 'TRANSACTION_NOT_FOUND', /./],
  ]),
};
