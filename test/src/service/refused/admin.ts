import { LONG_NAME, paged, type RefusedTables, TAKES_NOTHING, TOPIC, table } from './table.ts';

const BAD = 'INVALID_ARGUMENT';
const four = { node: 4, incarnation: 'i4', grpc_address: 'h:1', peer_address: 'h:2' };

const badNames = [
  [{ name: '' }, BAD, 'INVALID_NAME', /name "" is not a name/],
  [{ name: 'a/b' }, BAD, 'INVALID_NAME', /name "a\/b" is not a name/],
  [{ name: LONG_NAME }, BAD, 'INVALID_NAME', /1 to 127/],
] as const;
const badConfigs = [
  [{ queue_count: 1025 }, BAD, 'NUMBER_OUT_OF_RANGE', /queue_count is 1025/],
  [{ queue_count: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /queue_count is -1/],
  [{ config: { retention_ms: -1 } }, BAD, 'NUMBER_OUT_OF_RANGE', /retention_ms is -1/],
  [{ config: { retention_bytes: -1 } }, BAD, 'NUMBER_OUT_OF_RANGE', /retention_bytes is -1/],
  [{ config: { durability: 7 } }, BAD, 'INVALID_REQUEST', /durability 7 does not exist/],
  [{ config: { dedup_window_ms: 604_800_001 } }, BAD, 'NUMBER_OUT_OF_RANGE', /dedup_window_ms/],
  [{ config: { order: 3 } }, BAD, 'INVALID_REQUEST', /order 3 does not exist/],
  [{ config: { writes: 3 } }, BAD, 'INVALID_REQUEST', /writes 3 does not exist/],
] as const;
const compaction = (fields: object, more: object = {}) => {
  return { config: { compaction: fields, ...more } };
};
const unknown = [
  [{ name: 'none' }, 'NOT_FOUND', 'TOPIC_NOT_FOUND', /topic create none/],
  [{ topic_id: '999' }, 'NOT_FOUND', 'TOPIC_RECREATED', /./],
] as const;

const rule = { principal: 'app', kind: 1, name: TOPIC, verbs: [1] };
const badRules = [
  [{ rule: null }, BAD, 'INVALID_REQUEST', /rule is missing/],
  [{ rule: { ...rule, principal: '' } }, BAD, 'INVALID_NAME', /principal/],
  [{ rule: { ...rule, principal: 'a*' } }, BAD, 'INVALID_NAME', /principal/],
  [{ rule: { ...rule, kind: 0 } }, BAD, 'INVALID_REQUEST', /TOPIC, GROUP or CLUSTER/],
  [{ rule: { ...rule, name: '' } }, BAD, 'INVALID_NAME', /name/],
  [{ rule: { ...rule, name: 'a/', prefix: true } }, BAD, 'INVALID_NAME', /name/],
  [{ rule: { ...rule, kind: 3, verbs: [5] } }, BAD, 'INVALID_REQUEST', /cluster has no name/],
  [{ rule: { ...rule, verbs: [] } }, BAD, 'INVALID_REQUEST', /at least one/],
  [{ rule: { ...rule, verbs: [1, 3] } }, BAD, 'INVALID_REQUEST', /PRODUCE, FETCH, ADMIN/],
  [{ rule: { ...rule, verbs: [9] } }, BAD, 'INVALID_REQUEST', /PRODUCE, FETCH, ADMIN/],
] as const;

const quota = { principal: 'app', topics: 1000 };

export const ADMIN: RefusedTables = {
  'Admin/GrantAccess': table({ rule }, badRules),
  'Admin/RevokeAccess': table({ rule }, badRules),
  'Admin/ListAccess': table({}, Object.values(paged)),
  'Admin/RevokeTokens': table({ principal: 'app' }, [
    [{ principal: '' }, BAD, 'INVALID_REQUEST', /one of them/],
    [{ token_id: 't' }, BAD, 'INVALID_REQUEST', /one of them/],
    [{ principal: '*' }, BAD, 'INVALID_NAME', /principal/],
    [{ principal: '', token_id: 'x'.repeat(65) }, BAD, 'INVALID_NAME', /token_id has 65 bytes/],
    [{ issued_until_ms: '9000000000000' }, BAD, 'NUMBER_OUT_OF_RANGE', /issued_until_ms/],
  ]),
  'Admin/SetQuota': table({ quota }, [
    [{ quota: null }, BAD, 'INVALID_REQUEST', /quota is missing/],
    [{ quota: { ...quota, principal: '' } }, BAD, 'INVALID_NAME', /principal/],
    [{ quota: { ...quota, principal: '**' } }, BAD, 'INVALID_NAME', /principal/],
    [{ quota: { principal: 'app' } }, BAD, 'INVALID_REQUEST', /at least one limit/],
    [{ quota: { ...quota, topics: -1 } }, BAD, 'NUMBER_OUT_OF_RANGE', /topics is -1/],
    [{ quota: { ...quota, requests_per_second: 0 } }, BAD, 'INVALID_REQUEST', /_second is 0/],
  ]),
  'Admin/RemoveQuota': table({ principal: 'app' }, [
    [{ principal: '' }, BAD, 'INVALID_NAME', /principal/],
  ]),
  'Admin/ListQuotas': table({}, Object.values(paged)),
  'Admin/CreateTopic': table({ name: 'refused-new' }, [
    ...badNames,
    ...badConfigs,
    [{ name: TOPIC }, 'ALREADY_EXISTS', 'TOPIC_EXISTS', /./],
    [{ config: { writes: 2 } }, BAD, 'INVALID_REQUEST', /new topic accepts writes/],
    [compaction({ min_lag_ms: -1 }), BAD, 'NUMBER_OUT_OF_RANGE', /min_lag_ms is -1/],
    [compaction({ min_lag_ms: 604_800_001 }), BAD, 'NUMBER_OUT_OF_RANGE', /min_lag_ms is 6048/],
    [compaction({ tombstone_ms: 2_592_000_001 }), BAD, 'NUMBER_OUT_OF_RANGE', /tombstone_ms/],
    [compaction({}, { disk_policy: 2 }), BAD, 'INVALID_REQUEST', /PREFER_AVAILABILITY takes/],
    [compaction({}, { retention_ms: 1 }), BAD, 'INVALID_REQUEST', /retention_ms .*without a body/],
    [compaction({}, { retention_bytes: 1 }), BAD, 'INVALID_REQUEST', /retention_bytes would take/],
  ]),
  'Admin/UpdateTopic': table({ name: TOPIC }, [
    ...badNames,
    ...badConfigs,
    ...unknown,
    [{ queue_count: 2 }, 'FAILED_PRECONDITION', 'QUEUES_ONLY_GROW', /./],
    [compaction({}), 'FAILED_PRECONDITION', 'TOPIC_COMPACTED', /settled when it is created/],
  ]),
  'Admin/DeleteTopic': table({ name: TOPIC }, [...badNames, ...unknown]),
  'Admin/ListTopics': table({}, Object.values(paged)),
  'Admin/DescribeTopic': table({ name: TOPIC }, [...badNames, unknown[0]]),
  'Admin/DescribeRetention': table({}, [
    ...Object.values(paged),
    [{ topic: 'a/b' }, BAD, 'INVALID_NAME', /topic "a\/b" is not a name/],
    [{ topic: 'none' }, 'NOT_FOUND', 'TOPIC_NOT_FOUND', /topic create none/],
    [{ retention_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /retention_ms is -1/],
    [{ retention_bytes: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /retention_bytes is -1/],
    [{ disk: 'half' }, BAD, 'INVALID_REQUEST', /disk "half": one of low, high, critical, full/],
  ]),
  'Admin/DescribeCluster': TAKES_NOTHING,
  'Admin/DescribeLimits': TAKES_NOTHING,
  'Admin/DescribeMembers': TAKES_NOTHING,
  'Admin/Rebalance': TAKES_NOTHING,
  'Admin/RaiseFeatureLevel': table({}, [
    [{ level: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /level is -1/],
    [{ level: 99 }, BAD, 'INVALID_REQUEST', /this build knows 1 to [0-9]+, not 99/],
  ]),
  'Admin/AddMember': table(four, [
    [{ node: 0 }, BAD, 'INVALID_REQUEST', /the number of a node, from 1/],
    [{ node: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /node is -1/],
    [{ incarnation: '' }, BAD, 'INVALID_REQUEST', /incarnation: 1 to 64/],
    [{ grpc_address: '' }, BAD, 'INVALID_REQUEST', /grpc_address: must be host:port/],
    [{ peer_address: 'nowhere' }, BAD, 'INVALID_REQUEST', /peer_address: must be host:port/],
    [{ node: 1 }, 'ALREADY_EXISTS', 'MEMBER_EXISTS', /./],
  ]),
  'Admin/RemoveMember': table({ node: 9 }, [
    [{}, 'NOT_FOUND', 'MEMBER_NOT_FOUND', /./],
    [{ node: 0 }, BAD, 'INVALID_REQUEST', /from 1/],
    [{ node: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /node is -1/],
  ]),
  'Admin/CutShard': table({ shard: 1 }, [
    [{ shard: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /shard is -1/],
    [{ shard: 99 }, 'NOT_FOUND', 'SHARD_NOT_FOUND', /no shard 99/],
  ]),
  'Admin/ReadShard': table({ shard: 0, from_index: 1, to_index: 1 }, [
    [{ shard: 99 }, 'NOT_FOUND', 'SHARD_NOT_FOUND', /no shard 99/],
    [{ from_index: 2 }, BAD, 'INVALID_REQUEST', /must not lie behind to_index/],
    [{ offset: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /offset is -1/],
    [{ from_index: 0 }, 'FAILED_PRECONDITION', 'BACKUP_MOVED', /does not hold/],
  ]),
  'Admin/TransferLeader': table({ shard: 1, node: 1 }, [
    [{ shard: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /shard is -1/],
    [{ shard: 99 }, 'NOT_FOUND', 'SHARD_NOT_FOUND', /./],
    [{ node: 0 }, BAD, 'INVALID_REQUEST', /from 1/],
    [{ node: 9 }, 'FAILED_PRECONDITION', 'NOT_A_VOTER', /./],
  ]),
  'Admin/Trace': table({ message_id: '1-1-0' }, [
    [{}, 'NOT_FOUND', 'MESSAGE_NOT_FOUND', /never stored/],
    [{ message_id: '' }, BAD, 'INVALID_REQUEST', /one of message_id, dedup_key and key/],
    [{ key: 'k' }, BAD, 'INVALID_REQUEST', /one of message_id, dedup_key and key/],
    [{ topic: TOPIC }, BAD, 'INVALID_REQUEST', /leave `topic` out/],
    [{ message_id: 'x' }, BAD, 'INVALID_REQUEST', /is not a message id/],
    [{ message_id: '', key: 'k', topic: 'a/b' }, BAD, 'INVALID_NAME', /topic "a\/b"/],
    [{ message_id: '', dedup_key: 'k', topic: 'none' }, 'NOT_FOUND', 'TOPIC_NOT_FOUND', /none/],
    [{ message_id: '', key: 'k', topic: TOPIC }, 'NOT_FOUND', 'MESSAGE_NOT_FOUND', /newest/],
  ]),
};
