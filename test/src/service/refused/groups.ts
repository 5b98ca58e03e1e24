import { inTopic, ofGroup, paged, type RefusedTables, TOPIC, table } from './table.ts';

const BAD = 'INVALID_ARGUMENT';
const long = 'x'.repeat(65);
const member = { group: 'refused', member_id: 'm', instance_id: 'i' };

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
  'Groups/Delete': table({ group: 'nobody' }, [
    ...Object.values(ofGroup),
    [{}, 'NOT_FOUND', 'GROUP_NOT_FOUND', /first Join/],
  ]),
};
