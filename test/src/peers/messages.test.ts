import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Append, PeerMessage } from '../../../raft/messages.ts';
import type { Entry } from '../../../raft/types.ts';
import { EMPTY_BYTES, EntryType } from '../../../raft/types.ts';
import type { Frame } from '../../../src/peers/frame.ts';
import { FRAME_HEADER_BYTES, FrameReader } from '../../../src/peers/frame.ts';
import { FrameWriter } from '../../../src/peers/frame-writer.ts';
import { MalformedFrameError } from '../../../src/peers/malformed.ts';
import { readMessages } from '../../../src/peers/message-reader.ts';
import { messageBytesMax, writeMessages } from '../../../src/peers/message-writer.ts';
import { encoded } from './support.ts';

const MAX_FRAME = 20 * 1024 * 1024;
const MAX_TERM = 2 ** 48 - 1;

function framesOf(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  new FrameReader(MAX_FRAME, (frame) => frames.push(frame)).push(bytes);
  return frames;
}

function plainEntry(entry: Entry): unknown {
  const head = Buffer.from(entry.head).toString('hex');
  return { ...entry, head, payload: Buffer.from(entry.payload).toString('hex') };
}

function plain(message: PeerMessage): unknown {
  if (message.type === 'append') return { ...message, entries: message.entries.map(plainEntry) };
  if (message.type === 'snapshotChunk') {
    return { ...message, data: Buffer.from(message.data).toString('hex') };
  }
  if (message.type !== 'repairReply' || message.entry === undefined) return message;
  return { ...message, entry: plainEntry(message.entry) };
}

function decodeAll(bytes: Buffer): PeerMessage[] {
  return framesOf(bytes).flatMap(readMessages);
}

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
const repairReply = fc.record({ has: fc.boolean(), from: append }).map(({ has, from }) => {
  const { shard, to, term: at, entries, from: sender } = from;
  const [entry] = has ? entries : [];
  const found = entry === undefined ? { index: 1, term: 1 } : entry;
  const fields = {
    shard,
    from: sender,
    to,
    term: at,
    id: { index: found.index, term: found.term },
  };
  return { type: 'repairReply' as const, ...fields, ...(entry === undefined ? {} : { entry }) };
});

const message: fc.Arbitrary<PeerMessage> = fc.oneof(
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
  fc.record({ type: fc.constant('repairRequest' as const), ...address, id: entryId }),
  repairReply,
);

describe('messages', () => {
  it('come back as they were, also when cut into several frames', () => {
    const limits = fc.constantFrom(MAX_FRAME, 60_000);
    fc.assert(
      fc.property(fc.array(message, { maxLength: 12 }), limits, (messages, maxFrame) => {
        const wire = encoded((writer) => {
          expect(writeMessages(writer, messages, maxFrame)).toBe(0);
        });
        for (const frame of framesOf(wire))
          expect(frame.bytes.length).toBeLessThanOrEqual(maxFrame);
        expect(decodeAll(wire).map(plain)).toEqual(messages.map(plain));
        let bound = 0;
        for (const each of messages) bound += messageBytesMax(each) + FRAME_HEADER_BYTES;
        expect(wire.length).toBeLessThanOrEqual(bound);
      }),
      { numRuns: 500 },
    );
  });

  it('with any bit flipped are refused, each prefix waits for the rest', () => {
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 3 }), fc.nat(), (messages, at) => {
        const wire = encoded((writer) => writeMessages(writer, messages, MAX_FRAME));
        expect(framesOf(wire.subarray(0, at % wire.length))).toEqual([]);
        const bit = at % (wire.length * 8);
        wire[bit >> 3] = (wire[bit >> 3] as number) ^ (1 << (bit & 7));
        let decoded: PeerMessage[] = [];
        try {
          decoded = decodeAll(wire);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedFrameError);
        }
        expect(decoded).toEqual([]);
      }),
      { numRuns: 3_000 },
    );
  });

  it('that are a heartbeat take at most 40 bytes each', () => {
    const heartbeat: PeerMessage = {
      type: 'heartbeat',
      shard: 2 ** 32 - 1,
      from: 2 ** 32,
      to: 2 ** 32,
      term: MAX_TERM,
      commit: 2 ** 53 - 1,
      round: 2 ** 53 - 1,
      rank: 4,
      quiet: false,
    };
    const wire = encoded((writer) => writeMessages(writer, [heartbeat, heartbeat], MAX_FRAME));
    expect(wire.length - FRAME_HEADER_BYTES).toBeLessThanOrEqual(2 * 40);
  });

  it('over the frame limit are left out, the others go', () => {
    const payload = new Uint8Array(5_000);
    const bodyCrc = crc32(payload);
    const { noop } = EntryType;
    const entry = { index: 1, term: 1, type: noop, timeMs: 1, head: EMPTY_BYTES, payload, bodyCrc };
    const to = { shard: 1, from: 1, to: 2, term: 1 };
    const big: Append = {
      type: 'append',
      ...to,
      prevIndex: 0,
      prevTerm: 0,
      commit: 0,
      wantsWritten: false,
      entries: [entry],
    };
    const small: PeerMessage = { type: 'timeoutNow', ...to };
    const wire = encoded((writer) => {
      expect(writeMessages(writer, [small, big, small], 4_000)).toBe(1);
    });
    expect(decodeAll(wire)).toEqual([small, small]);
  });

  it('carry big payloads without copying them', () => {
    const payload = new Uint8Array(100_000);
    const bodyCrc = crc32(payload);
    const { command } = EntryType;
    const head = new Uint8Array(0);
    const entry = { index: 1, term: 1, type: command, timeMs: 1, head, payload, bodyCrc };
    const writer = new FrameWriter();
    const fields = { shard: 1, from: 1, to: 2, term: 1, prevIndex: 0, prevTerm: 0, commit: 0 };
    const sent: Append = { type: 'append', ...fields, wantsWritten: false, entries: [entry] };
    writeMessages(writer, [sent], MAX_FRAME);
    const pieces = writer.take();
    expect(pieces).toHaveLength(2);
    expect(pieces[1]).toBe(payload);
    const wire = Buffer.concat(pieces);
    const [received] = decodeAll(wire) as [Append];
    expect(received.entries[0]?.payload.buffer).toBe(wire.buffer);
  });

  it('that no replica can mean are refused although their CRC is right', () => {
    const entry: Entry = {
      index: 1,
      term: 9,
      type: EntryType.command,
      timeMs: 1,
      head: EMPTY_BYTES,
      payload: EMPTY_BYTES,
      bodyCrc: 0,
    };
    const fields = { type: 'append', shard: 1, from: 1, to: 2, commit: 0 } as const;
    const base: Append = {
      ...fields,
      term: 9,
      prevIndex: 0,
      prevTerm: 0,
      wantsWritten: false,
      entries: [entry],
    };
    const to = { shard: 1, from: 1, to: 2, term: 9 };
    const chunk: PeerMessage = {
      type: 'snapshotChunk',
      ...to,
      id: { index: 4, term: 9 },
      totalBytes: 10,
      offset: 0,
      data: EMPTY_BYTES,
    };
    const wrong: PeerMessage[] = [
      { ...base, term: 8 },
      { ...base, prevTerm: 3 },
      { ...base, prevIndex: 4, prevTerm: 0, entries: [] },
      { ...base, prevIndex: 4, prevTerm: 10, entries: [] },
      { ...base, from: 0 },
      { ...base, entries: [{ ...entry, bodyCrc: 1 }] },
      { ...base, entries: [entry, { ...entry, index: 2, term: 8 }] },
      { ...chunk, offset: 6, data: new Uint8Array(6) },
      { ...chunk, id: { index: 0, term: 0 } },
      { ...chunk, id: { index: 4, term: 10 } },
      { type: 'repairReply', ...to, id: { index: 2, term: 9 }, entry },
      { type: 'repairReply', ...to, id: { index: 1, term: 8 }, entry },
      { type: 'heartbeat', ...to, commit: 0, round: 1, rank: 0, quiet: true },
      {
        type: 'heartbeat',
        shard: 1,
        from: 1,
        to: 2,
        term: 0,
        commit: 0,
        round: 1,
        rank: 0,
        quiet: false,
      },
    ];
    expect(decodeAll(encoded((writer) => writeMessages(writer, [base], MAX_FRAME)))).toHaveLength(
      1,
    );
    for (const each of wrong) {
      const wire = encoded((writer) => writeMessages(writer, [each], MAX_FRAME));
      expect(() => decodeAll(wire), JSON.stringify(each)).toThrow(MalformedFrameError);
    }
  });
});
