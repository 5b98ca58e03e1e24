/** Arbitrary commands of every kind, for property tests. */
import fc from 'fast-check';
import type { Command, Durability, TransactionRef } from '../../src/broker/commands.ts';
import type { DeliveryCommand } from '../../src/broker/delivery-commands.ts';

const uint = fc.oneof(fc.nat(300), fc.maxSafeNat());
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const count = fc.integer({ min: 1, max: 5000 });
const id = fc.record({ term: uint, index: uint });
const offsets = fc.array(fc.record({ queue: uint, offset: uint }), { maxLength: 8 });

const producer = fc.record({ producerId: text, producerEpoch: uint, sequence: uint });
const durability = fc.constantFrom<Durability>(1, 2, 3, 4);
const transaction = fc.oneof(
  id.map((value): TransactionRef => ({ by: 'id', id: value })),
  text.map((callerId): TransactionRef => ({ by: 'caller', callerId })),
);
const globalId = fc.record({ shard: uint, term: uint, index: uint });
const from = fc.option(fc.nat(), { nil: undefined });
const moved = fc.record({ queue: uint, from, offset: uint });
const name = { group: text, queueId: uint };
const verdict = fc.oneof(
  fc.constant({ type: 'ack' as const }),
  fc.record({ type: fc.constant('nack' as const), delayMs: fc.option(uint, { nil: undefined }) }),
  fc.record({ type: fc.constant('extend' as const), extendMs: uint }),
  fc.constant({ type: 'release' as const }),
);
const freshMessage = fc
  .record({
    ...{ term: uint, firstIndex: fc.nat(300), gap: fc.nat(300) },
    ...{ position: uint, storedAtMs: uint, keyHash: uint },
  })
  .map(({ term, gap, ...place }) => ({ ...place, at: { term, index: place.firstIndex + gap } }));
const LEASE_KEYS = [
  ...(['type', 'group', 'queueId', 'fifo', 'fromOffset', 'consumer'] as const),
  ...(['leaseMs', 'again', 'freshOffset', 'fresh'] as const),
];
const anyDelivery: fc.Arbitrary<DeliveryCommand> = fc.oneof(
  fc.record(
    {
      ...{ type: fc.constant('lease' as const), ...name, fifo: fc.boolean() },
      fromOffset: fc.option(fc.nat(300), { nil: undefined }),
      ...{ consumer: text, leaseMs: uint, again: fc.array(uint, { maxLength: 8 }) },
      ...{ freshOffset: uint, fresh: fc.array(freshMessage, { maxLength: 8 }) },
      selection: fc.record({
        filter: fc.record({ type: uint, expression: text }),
        passed: fc.array(uint, { maxLength: 9 }),
      }),
    },
    { requiredKeys: [...LEASE_KEYS] },
  ),
  fc.record({
    ...{ type: fc.constant('settle' as const), ...name },
    items: fc.array(fc.record({ offset: uint, token: uint, verdict }), { maxLength: 8 }),
  }),
  fc.record({
    type: fc.constant('expire' as const),
    deliveries: fc.array(fc.record({ ...name, offset: uint }), { maxLength: 8 }),
  }),
  fc.record({ type: fc.constant('seekSubscription' as const), ...name, offset: uint }),
  fc.record({
    ...{ type: fc.constant('settleDead' as const), ...name },
    action: fc.constantFrom('resend' as const, 'purge' as const),
    offsets: fc.array(uint, { maxLength: 8 }),
  }),
  fc.record({ type: fc.constant('unsubscribe' as const), ...name }),
);
const queueEpoch = fc.integer({ min: 1, max: 2 ** 40 });
const plannedPart = { shard: uint, topic: text, queueId: uint, queue: uint, count };
const trimmed = fc.record({ queueId: uint, startOffset: uint, startIndex: uint });

export const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  anyDelivery,
  fc.record({
    type: fc.constant('produce' as const),
    queueId: uint,
    count,
    durability,
    producer: fc.option(producer, { nil: undefined }),
  }),
  fc.record({
    type: fc.constant('produce' as const),
    queueId: uint,
    count,
    durability,
    producer: fc.option(producer, { nil: undefined }),
    deliverAtMs: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  }),
  fc.record({
    type: fc.constant('produce' as const),
    queueId: uint,
    count,
    durability,
    producer: fc.option(producer, { nil: undefined }),
    dedup: fc.record({ windowMs: uint, keys: fc.array(text, { maxLength: 4 }) }),
  }),
  fc.record({
    type: fc.constant('produce' as const),
    ...{ queueId: uint, count, durability, queueEpoch },
    producer: fc.option(producer, { nil: undefined }),
  }),
  fc.record({ type: fc.constant('deliver' as const), batches: fc.array(id, { maxLength: 8 }) }),
  fc.record({ type: fc.constant('recall' as const), index: uint }),
  fc.record({
    ...{
      type: fc.constant('copy' as const),
      owner: fc.constantFrom('delayed' as const, 'delivery' as const),
    },
    ...{ id, from: id },
  }),
  fc.record({
    type: fc.constant('copyRow' as const),
    row: fc.record({
      queueId: uint,
      baseOffset: uint,
      count,
      storedAtMs: uint,
      cumulativeBytes: uint,
    }),
    ...{ id, lowest: uint, until: uint },
  }),
  fc.record({ type: fc.constant('openQueue' as const), queueId: uint, topicId: text, queue: uint }),
  fc.record({ type: fc.constant('closeQueue' as const), queueId: uint }),
  fc.record({ type: fc.constant('raiseLevel' as const), level: uint }),
  fc.record({ type: fc.constant('fenceQueue' as const), queueId: uint, minQueueEpoch: uint }),
  fc.record({
    type: fc.constant('prepare' as const),
    producerGroup: text,
    callerId: text,
    topic: text,
    queueId: uint,
    count,
    firstCheckAfterMs: uint,
    checkIntervalMs: uint,
  }),
  fc.record({
    type: fc.constant('end' as const),
    producerGroup: text,
    transaction,
    decision: fc.constantFrom('commit' as const, 'rollback' as const, 'unknown' as const),
  }),
  fc.record({
    type: fc.constant('prepare' as const),
    producerGroup: text,
    callerId: text,
    topic: text,
    queueId: uint,
    count,
    firstCheckAfterMs: uint,
    checkIntervalMs: uint,
    maxChecks: uint,
  }),
  fc.record({
    type: fc.constant('prepare' as const),
    ...{ producerGroup: text, callerId: text, topic: text, queueId: uint, count },
    ...{ firstCheckAfterMs: uint, checkIntervalMs: uint, maxChecks: uint, queueEpoch },
  }),
  fc.record({
    type: fc.constant('end' as const),
    producerGroup: text,
    transaction,
    decision: fc.constantFrom('commit' as const, 'rollback' as const),
    by: fc.constantFrom('operator' as const, 'refusal' as const, 'timeout' as const),
  }),
  fc.record({
    type: fc.constant('leaseChecks' as const),
    producerGroup: text,
    transactions: fc.array(id, { maxLength: 8 }),
    leaseMs: uint,
  }),
  fc.record({
    type: fc.constant('leaseChecks' as const),
    producerGroup: text,
    transactions: fc.array(id, { maxLength: 8 }),
    leaseMs: uint,
    countsLater: fc.constant(true as const),
  }),
  fc.record({
    type: fc.constant('checksDelivered' as const),
    checks: fc.array(fc.record({ id, lease: uint }), { maxLength: 8 }),
  }),
  fc.record({
    type: fc.constant('begin' as const),
    producerGroup: text,
    callerId: text,
    firstCheckAfterMs: uint,
    checkIntervalMs: uint,
    maxChecks: uint,
    parts: fc.array(fc.oneof(fc.record(plannedPart), fc.record({ ...plannedPart, queueEpoch })), {
      maxLength: 4,
    }),
    offsets: fc.option(fc.record({ shard: uint, group: text }), { nil: undefined }),
  }),
  fc.record({
    type: fc.constant('preparePart' as const),
    transaction: globalId,
    part: uint,
    queueId: uint,
    count,
  }),
  fc.record({
    type: fc.constant('preparePart' as const),
    ...{ transaction: globalId, part: uint, queueId: uint, count, queueEpoch },
  }),
  fc.record({
    type: fc.constant('prepareOffsets' as const),
    transaction: globalId,
    group: text,
    generation: uint,
    memberId: text,
    topics: fc.array(fc.record({ topicId: text, offsets: fc.array(moved, { maxLength: 3 }) }), {
      maxLength: 3,
    }),
  }),
  fc.record({
    type: fc.constant('prepared' as const),
    transaction: id,
    parts: fc.array(id, { maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant('resolve' as const),
    transaction: globalId,
    commits: fc.boolean(),
    parts: fc.array(id, { maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant('resolved' as const),
    transaction: id,
    shards: fc.array(uint, { maxLength: 4 }),
    shown: fc.array(fc.record({ part: uint, baseOffset: uint }), { maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant('park' as const),
    transactions: fc.array(id, { maxLength: 8 }),
  }),
  fc.record({ type: fc.constant('resume' as const), transaction: id }),
  fc.record({
    type: fc.constantFrom('commitOffsets' as const, 'resetOffsets' as const),
    group: text,
    topicId: text,
    offsets,
  }),
  fc.record({
    type: fc.constant('commitOffsets' as const),
    group: text,
    topicId: text,
    offsets,
    member: fc.record({ memberId: text, generation: uint }),
  }),
  fc.record({
    type: fc.constant('joinGroup' as const),
    group: text,
    memberId: text,
    instanceId: text,
    clientName: text,
    sessionMs: uint,
    isNamedHere: fc.boolean(),
    mode: fc.constantFrom('cluster' as const, 'broadcast' as const),
    topics: fc.array(fc.record({ topicId: text, name: text, queueCount: uint }), { maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant('leaveGroup' as const),
    group: text,
    members: fc.array(fc.record({ memberId: text, joinedIn: uint }), { maxLength: 4 }),
    reason: fc.constantFrom('left' as const, 'silent' as const),
  }),
  fc.record({
    type: fc.constant('changeGroup' as const),
    group: text,
    topics: fc.array(fc.record({ topicId: text, queueCount: uint }), { maxLength: 4 }),
  }),
  fc.record({
    type: fc.constant('acknowledgeGroup' as const),
    group: text,
    memberId: text,
    generation: uint,
  }),
  fc.record({ type: fc.constant('deleteGroup' as const), group: text }),
  fc.record({
    type: fc.constant('forkGroup' as const),
    group: text,
    topics: fc.array(fc.record({ topicId: text, offsets }), { maxLength: 4 }),
  }),
  fc.record({ type: fc.constant('forgetTopic' as const), topicId: text }),
  fc.record({
    type: fc.constant('trim' as const),
    queues: fc.array(trimmed, { maxLength: 8 }),
    logTrim: uint,
  }),
);
