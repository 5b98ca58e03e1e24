import { inTopic, ofGroup, paged, type RefusedTables, TOPIC, table } from './table.ts';

const BAD = 'INVALID_ARGUMENT';
const long = 'x'.repeat(65);
const member = { group: 'refused', member_id: 'm', instance_id: 'i' };

const past = [
  ...Object.values(ofGroup),
  [{}, 'NOT_FOUND', 'GROUP_NOT_FOUND', /first Join/],
  [{ at_ms: 0 }, BAD, 'INVALID_REQUEST', /at_ms: say at which time/],
  [{ at_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /at_ms is -1/],
  [{ member_id: long }, BAD, 'INVALID_NAME', /member_id has 65 bytes/],
  [{ group: 'g', topic: 'none' }, 'NOT_FOUND', 'TOPIC_NOT_FOUND', inTopic.unknown[3]],
] as const;

export const GROUPS: RefusedTables = {
  'Groups/Join': table({ ...member, topics: [TOPIC] }, [
    ...Object.values(ofGroup),
    [{ topics: ['none'] }, 'NOT_FOUND', 'TOPIC_NOT_FOUND', inTopic.unknown[3]],
    [{ topics: [] }, BAD, 'INVALID_REQUEST', /0 topics/],
    [{ topics: Array(65).fill(TOPIC) }, BAD, 'INVALID_REQUEST', /65 topics/],
    [{ topics: [TOPIC, TOPIC] }, BAD, 'INVALID_REQUEST', /named twice/],
    [{ member_id: long }, BAD, 'INVALID_NAME', /member_id has 65 bytes/],
    [{ instance_id: long }, BAD, 'INVALID_NAME', /instance_id has 65 bytes/],
    [{ client_name: 'x'.repeat(128) }, BAD, 'INVALID_NAME', /client_name has 128 bytes/],
    [{ session_ms: 5999 }, BAD, 'NUMBER_OUT_OF_RANGE', /between 6000 and 1800000/],
    [{ session_ms: 1_800_001 }, BAD, 'NUMBER_OUT_OF_RANGE', /between 6000 and 1800000/],
    [{ session_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /session_ms is -1/],
    [{ mode: 3 }, BAD, 'INVALID_REQUEST', /mode 3 does not exist/],
  ]),
  'Groups/Heartbeat': table(member, [
    ...Object.values(ofGroup),
    [{}, 'NOT_FOUND', 'MEMBER_UNKNOWN', /Join again/],
    [{ member_id: '' }, BAD, 'INVALID_REQUEST', /member_id is empty/],
    [{ member_id: long }, BAD, 'INVALID_NAME', /member_id has 65 bytes/],
    [{ generation: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /generation is -1/],
    [{ table: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /table is -1/],
    [{ max_wait_ms: -1 }, BAD, 'NUMBER_OUT_OF_RANGE', /max_wait_ms is -1/],
  ]),
  'Groups/Leave': table(member, [
    ...Object.values(ofGroup),
    [{}, 'NOT_FOUND', 'MEMBER_UNKNOWN', /Join again/],
    [{ member_id: '' }, BAD, 'INVALID_REQUEST', /member_id is empty/],
    [{ instance_id: long }, BAD, 'INVALID_NAME', /instance_id has 65 bytes/],
  ]),
  'Groups/List': table({}, Object.values(paged)),
  'Groups/Describe': table({ group: 'nobody' }, [
    ...Object.values(ofGroup),
    [{}, 'NOT_FOUND', 'GROUP_NOT_FOUND', /first Join/],
  ]),
  'Groups/DescribeAt': table({ group: 'nobody', at_ms: 5 }, past),
  'Groups/Fork': table({ group: 'nobody', new_group: 'forked', at_ms: 5 }, [
    ...past,
    [{ new_group: '' }, BAD, 'INVALID_NAME', /new_group ""/],
    [{ new_group: 'a/b' }, BAD, 'INVALID_NAME', /new_group "a\/b"/],
    [{ group: 'g' }, 'NOT_FOUND', 'GROUP_NOT_FOUND', /not known that group g stood anywhere/],
    [
      { group: 'g', new_group: 'g', at_ms: '9000000000000000' },
      ...(['ALREADY_EXISTS', 'GROUP_EXISTS', /group "g" exists/] as const),
    ],
  ]),
  'Groups/Delete': table({ group: 'nobody' }, [
    ...Object.values(ofGroup),
    [{}, 'NOT_FOUND', 'GROUP_NOT_FOUND', /first Join/],
  ]),
};
