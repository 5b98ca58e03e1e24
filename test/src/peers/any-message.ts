/** Arbitrary messages between replicas and drivers, of every type, for property tests. */
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import type { Append, PeerMessage } from '../../../raft/messages.ts';
import type { Entry } from '../../../raft/types.ts';
import { EntryType } from '../../../raft/types.ts';

const MAX_TERM = 2 ** 48 - 1;

const index = fc.maxSafeNat();
const term = fc.integer({ min: 1, max: MAX_TERM });
const address = {
  shard: fc.nat({ max: 2 ** 32 - 1 }),
  from: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  to: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  term,
};
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.integer({ min: 2_000, max: 5_000 }).map((length) => new Uint8Array(length).fill(length)),
);

const append: fc.Arbitrary<Append> = fc
  .record({
    ...address,
    prevIndex: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 2 ** 52 })),
    commit: index,
    wantsWritten: fc.boolean(),
    bodies: fc.array(fc.record({ head: bytes, payload: bytes }), { maxLength: 5 }),
    timeMs: fc.nat(),
    type: fc.constantFrom(EntryType.noop, EntryType.command, EntryType.config),
  })
  .map(({ bodies, timeMs, type, ...fields }) => {
    const entries: Entry[] = bodies.map(({ head, payload }, i) => ({
      index: fields.prevIndex + 1 + i,
      term: fields.term,
      type,
      timeMs,
      head,
      payload,
      bodyCrc: crc32(payload, crc32(head)),
    }));
    const prevTerm = fields.prevIndex === 0 ? 0 : fields.term;
    return { type: 'append', ...fields, prevTerm, entries };
  });

const id = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const ids = fc.array(id, { maxLength: 4 });
const incarnation = fc.string({ maxLength: 30 });
const entryId = fc.record({ index: id, term: fc.constant(1) });
const configuration = fc.record(
  {
    voters: ids,
    votersOutgoing: ids,
    learners: ids,
    learnersNext: ids,
    autoLeave: fc.constant(true as const),
  },
  { requiredKeys: ['voters', 'votersOutgoing', 'learners', 'learnersNext'] },
);
const replicaAddress = fc.record({ replica: id, node: id, incarnation });
const invite = fc.record({
  type: fc.constant('invite' as const),
  ...address,
  incarnation,
  logStart: fc.oneof(fc.constant({ index: 0, term: 0 }), entryId),
  membership: fc.record({
    config: configuration,
    replicas: fc.array(replicaAddress, { maxLength: 5 }),
  }),
  replaces: fc.boolean(),
});
const snapshotChunk = fc
  .record({ ...address, id: entryId, before: fc.nat(), after: fc.nat(), data: bytes })
  .map(({ before, after, data, ...fields }) => {
    const totalBytes = before + data.length + after;
    return { type: 'snapshotChunk' as const, ...fields, totalBytes, offset: before, data };
  });
const repair = fc.record({ has: fc.boolean(), trimmed: fc.boolean(), from: append });
const repairReply = repair.map(({ has, trimmed, from }) => {
  const { shard, to, term: at, entries, from: sender } = from;
  const [entry] = has ? entries : [];
  const found = entry === undefined ? { index: 1, term: 1 } : entry;
  const fields = {
    shard,
    from: sender,
    to,
    term: at,
    trimmed: trimmed && entry === undefined,
    id: { index: found.index, term: found.term },
  };
  return { type: 'repairReply' as const, ...fields, ...(entry === undefined ? {} : { entry }) };
});

export const anyMessage: fc.Arbitrary<PeerMessage> = fc.oneof(
  fc.record({
    type: fc.constantFrom('preVote' as const, 'vote' as const),
    ...address,
    lastIndex: index,
    lastTerm: fc.constant(1),
    transfer: fc.boolean(),
  }),
  fc.record({
    type: fc.constantFrom('preVoteReply' as const, 'voteReply' as const),
    ...address,
    term: fc.nat(),
    granted: fc.boolean(),
    sticky: fc.boolean(),
    wallMs: index,
  }),
  append,
  fc.record({
    type: fc.constant('appendReply' as const),
    ...address,
    success: fc.boolean(),
    matchIndex: index,
    conflictTerm: fc.nat(),
    conflictIndex: index,
    lastIndex: index,
  }),
  fc.record({ type: fc.constant('written' as const), ...address, index }),
  fc.record({
    type: fc.constant('heartbeat' as const),
    ...address,
    commit: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    round: index,
    rank: fc.nat(),
    quiet: fc.boolean(),
  }),
  fc.record({
    type: fc.constant('heartbeatReply' as const),
    ...address,
    round: index,
    wallMs: index,
    suspect: fc.boolean(),
    quiet: fc.boolean(),
  }),
  fc.record({ type: fc.constant('timeoutNow' as const), ...address }),
  fc.record({ type: fc.constant('alive' as const), wallMs: index }),
  invite,
  snapshotChunk,
  fc.record({
    type: fc.constant('snapshotReply' as const),
    ...address,
    id: entryId,
    nextOffset: index,
    done: fc.boolean(),
  }),
  fc.record({ type: fc.constant('snapshotRequest' as const), ...address, through: index }),
  fc.record({ type: fc.constant('repairRequest' as const), ...address, id: entryId }),
  repairReply,
);

function plainEntry(entry: Entry): unknown {
  const head = Buffer.from(entry.head).toString('hex');
  return { ...entry, head, payload: Buffer.from(entry.payload).toString('hex') };
}

/** With bytes as hex, so that two messages can be compared. */
export function plain(message: PeerMessage): unknown {
  if (message.type === 'append') return { ...message, entries: message.entries.map(plainEntry) };
  if (message.type === 'snapshotChunk') {
    return { ...message, data: Buffer.from(message.data).toString('hex') };
  }
  if (message.type !== 'repairReply' || message.entry === undefined) return message;
  return { ...message, entry: plainEntry(message.entry) };
}
