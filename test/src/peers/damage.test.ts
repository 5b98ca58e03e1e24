/**
 * Every codec of the connections between nodes against damage. All frames have a checksum: over
 * head and bulk, or over the head and, per entry and per snapshot chunk, over the body.
 */
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import {
  AnswerStatus,
  readAnswer,
  readCall,
  readCancel,
  writeAnswer,
  writeCall,
  writeCancel,
} from '../../../src/peers/call-frames.ts';
import type { Frame } from '../../../src/peers/frame.ts';
import { FRAME_HEADER_BYTES, FrameReader, FrameType } from '../../../src/peers/frame.ts';
import {
  greetingOf,
  readGreeting,
  readRefusal,
  writeGreeting,
  writeRefusal,
} from '../../../src/peers/handshake.ts';
import { MalformedFrameError } from '../../../src/peers/malformed.ts';
import { readMessages } from '../../../src/peers/message-reader.ts';
import { writeMessages } from '../../../src/peers/message-writer.ts';
import { oneBitChangesOf, prefixesOf, readOrRefuse } from '../../harness/damage.ts';
import { anyMessage, plain } from './any-message.ts';
import type { TestNode } from './support.ts';
import { closeAll, createNode, dialRaw, encoded, identityOf } from './support.ts';

const MAX_FRAME = 64 * 1024;
/** Of a message whose every bit is turned: big bodies only repeat the same check. */
const MAX_TURNED_BYTES = 400;
const SEED = 4;

const isRefusal = (error: unknown) => error instanceof MalformedFrameError;

function framesOf(bytes: Uint8Array): Frame[] {
  const frames: Frame[] = [];
  new FrameReader(MAX_FRAME, (frame) => frames.push(frame)).push(Buffer.from(bytes));
  return frames;
}

/** Whatever a node would hand on of these bytes. */
function decode(bytes: Uint8Array): unknown[] {
  return framesOf(bytes).flatMap(decodeFrame);
}

function decodeFrame(frame: Frame): unknown[] {
  switch (frame.type) {
    case FrameType.messages:
      return readMessages(frame).map(plain);
    case FrameType.call:
      return [readCall(frame)];
    case FrameType.answer:
      return [readAnswer(frame)];
    case FrameType.cancel:
      return [readCancel(frame)];
    case FrameType.hello:
    case FrameType.welcome:
      return [readGreeting(frame)];
    case FrameType.refusal:
      return [readRefusal(frame)];
    default:
      return [frame.type];
  }
}

const greeting = greetingOf(identityOf(2), 1, 'bulk');
const call = { id: 7, method: '/t/Call', methodBytes: 7, lane: 'l', laneBytes: 1 };
const body = Buffer.from('a body');

function messageFrames(): [string, Buffer][] {
  const seen = new Map<string, Buffer>();
  for (const message of fc.sample(anyMessage, { seed: SEED, numRuns: 2_000 })) {
    const bytes = encoded((writer) => writeMessages(writer, [message], MAX_FRAME));
    if (bytes.length <= MAX_TURNED_BYTES && bytes.length > (seen.get(message.type)?.length ?? 0)) {
      seen.set(message.type, bytes);
    }
  }
  return [...seen];
}

const nobody = { principal: '', principalBytes: 0, traceparent: '' };
const app = { principal: 'app', principalBytes: 3, traceparent: '' };
const watched = { ...app, traceparent: '00-1-2-01' };
const samples: [string, Buffer][] = [
  ...messageFrames(),
  ['call', encoded((writer) => writeCall(writer, { ...call, ...nobody, body }, 300))],
  ['call of app', encoded((writer) => writeCall(writer, { ...call, ...app, body }, 300))],
  ['watched call', encoded((writer) => writeCall(writer, { ...call, ...watched, body }, 300))],
  ['answer', encoded((writer) => writeAnswer(writer, 7, AnswerStatus.error, body))],
  ['cancel', encoded((writer) => writeCancel(writer, 300))],
  ['hello', encoded((writer) => writeGreeting(writer, FrameType.hello, greeting))],
  ['welcome', encoded((writer) => writeGreeting(writer, FrameType.welcome, greeting))],
  [
    'refusal',
    encoded((writer) => writeRefusal(writer, { reason: 'staleBoot', detail: 'older than 3' })),
  ],
];

describe('a frame', () => {
  it('of every type is among the samples', () => {
    expect(samples).toHaveLength(17 + 8);
  });

  it.each(samples)('%s is waited for at every prefix', (_, bytes) => {
    expect(decode(bytes)).toHaveLength(1);
    for (const prefix of prefixesOf(bytes)) expect(decode(prefix)).toEqual([]);
  });

  it.each(samples)('%s gives nothing with any one bit turned', (_, bytes) => {
    // What follows on the wire, so that a length that grew is not just waited for.
    const rest = Buffer.alloc(MAX_FRAME);
    for (const changed of oneBitChangesOf(bytes)) {
      const got: unknown[] = [];
      const reader = new FrameReader(MAX_FRAME, (frame) => got.push(...decodeFrame(frame)));
      const wire = Buffer.concat([changed, rest]);
      expect(() => reader.push(wire)).toThrow(MalformedFrameError);
      expect(got).toEqual([]);
    }
  });

  it.each(samples)(
    '%s with any bit of its head turned and a right CRC is no riddle',
    (_, bytes) => {
      const [frame] = framesOf(bytes);
      for (const changed of oneBitChangesOf(bytes.subarray(FRAME_HEADER_BYTES, frame!.headEnd))) {
        const wire = resealed(bytes, changed, frame!);
        const read = readOrRefuse(decode, wire, isRefusal);
        if (read === undefined || frame!.type !== FrameType.messages) continue;
        const messages = framesOf(wire).flatMap(readMessages);
        const again = encoded((writer) => writeMessages(writer, messages, MAX_FRAME));
        expect(decode(again)).toEqual(read);
      }
    },
  );
});

/** The frame with another head of the same length, and a CRC that agrees. */
function resealed(bytes: Buffer, head: Uint8Array, frame: Frame): Buffer {
  const wire = Buffer.from(bytes);
  wire.set(head, FRAME_HEADER_BYTES);
  const checked = frame.type === FrameType.messages ? frame.headEnd : bytes.length;
  wire.writeUInt32LE(crc32(wire.subarray(4, checked)), 0);
  return wire;
}

describe('a connection', () => {
  const running: TestNode[] = [];
  afterEach(() => closeAll(running.splice(0)));

  async function startNode(): Promise<TestNode> {
    const peers = new Map([2, 3].map((node) => [node, { host: '127.0.0.1', port: 1 }]));
    const node = createNode(identityOf(1), peers);
    running.push(node);
    await node.network.start();
    return node;
  }

  async function dial(node: TestNode, from: number, kind: 'control' | 'bulk') {
    const hello = greetingOf(identityOf(from), 1, kind);
    const raw = dialRaw(
      node.network.address(),
      encoded((writer) => writeGreeting(writer, FrameType.hello, hello)),
    );
    await raw.frames.next();
    return raw;
  }

  const timeoutNow = { type: 'timeoutNow', shard: 1, from: 3, to: 1, term: 5 } as const;
  const good = encoded((writer) => writeMessages(writer, [timeoutNow], MAX_FRAME));

  /** Frames that no correct peer sends: damaged, out of turn, or nonsense under a right CRC. */
  function nonsense(): Buffer[] {
    // Not in the length: a frame that became longer is waited for until its connection is silent.
    const place = (at: number, length: number) => ((at % length) >> 2 === 1 ? 0 : at % length);
    const damaged = fc
      .sample(fc.tuple(fc.constantFrom(...samples), fc.nat()), { seed: SEED, numRuns: 60 })
      .map(([[, bytes], at]) => {
        const changed = Buffer.from(bytes);
        changed[place(at, bytes.length)]! ^= 1 << (at % 8);
        return changed;
      });
    const outOfTurn = samples.filter(([name]) => /hello|welcome|refusal/.test(name));
    const unreadable = ['ff', '0501010102', '0e', '10ff'].map((hex) => {
      const head = Buffer.from(hex, 'hex');
      return encoded((writer) => {
        writer.begin(head.length);
        writer.scratch.set(head, writer.reserve(head.length));
        writer.endHead();
        writer.end(FrameType.messages);
      });
    });
    return [...damaged, ...outOfTurn.map(([, bytes]) => bytes), ...unreadable];
  }

  it('on which nonsense arrives is closed: it, no other one, and not the node', async () => {
    const node = await startNode();
    const bystander = await dial(node, 3, 'control');
    const wires = nonsense();
    for (const wire of wires) {
      const raw = await dial(node, 2, 'bulk');
      raw.socket.write(wire);
      await raw.closed;
    }
    expect(wires.length).toBeGreaterThan(60);
    bystander.socket.write(good);
    expect(await node.messages.next()).toEqual({ from: 3, message: timeoutNow });
    expect(node.messages.all).toHaveLength(1);
    expect(node.calls.all).toEqual([]);
    bystander.socket.destroy();
  });

  it('gives what came before the damage, and nothing after it', async () => {
    const node = await startNode();
    const raw = await dial(node, 3, 'control');
    const damaged = Buffer.from(good);
    damaged[damaged.length - 1]! ^= 1;
    raw.socket.write(Buffer.concat([good, good, damaged, good]));
    await raw.closed;
    expect(node.messages.all).toHaveLength(2);
  });
});
