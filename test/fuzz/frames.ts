/**
 * Mutated frames into a node's network as it runs in production, from the bytes of a connection to
 * what Raft and the service would be handed. Nine of ten have a right checksum, so that it is the
 * decoders that must stand them. A frame is taken or its connection is closed; nothing is thrown.
 */
import { readAnswer } from '../../src/peers/call-frames.ts';
import { FRAME_HEADER_BYTES, FrameReader } from '../../src/peers/frame.ts';
import { readGreeting, readRefusal } from '../../src/peers/handshake.ts';
import { MalformedFrameError } from '../../src/peers/malformed.ts';
import type { RunningPeerNetwork } from '../../src/peers/network.ts';
import { createPeerNetwork } from '../../src/peers/network.ts';
import { Random } from '../../src/sim/random.ts';
import { directoryOf, identityOf, LOOPBACK } from '../src/peers/support.ts';
import {
  type FrameSamples,
  frameSamples,
  HELLO,
  headEndOf,
  MAX_FRAME_BYTES,
  resealed,
  wholeBytes,
} from './frame-samples.ts';
import { type FuzzSocket, FuzzTransport } from './fuzz-socket.ts';
import { heldBytes } from './memory.ts';
import { mutated } from './mutate.ts';
import type { Row } from './row.ts';

/** The event loop gets its turn so often: timers fire, closed sockets are let go of. */
const FRAMES_PER_TURN = 1_000;
const SEALED = 0.9;
const SILENT = { info() {}, warn() {}, error() {} };

export interface FrameCampaign {
  readonly framesPerType: number;
  readonly seed: number;
  onRow(row: Row): void;
}

/** Somewhere bytes may be sent: `true` = taken as a frame, `false` = refused. */
type Target = (bytes: Buffer) => boolean;

export async function fuzzFrames({ framesPerType, seed, onRow }: FrameCampaign): Promise<void> {
  const transport = new FuzzTransport();
  const network = createNetwork(transport);
  await network.start();
  try {
    const samples = frameSamples(seed);
    for (const [at, each] of samples.entries()) {
      const random = new Random(seed + at);
      const target = targetOf(each.type, transport);
      // What the code itself comes to hold is no growth.
      await sendAll(random, each, samples, Math.min(framesPerType, FRAMES_PER_TURN), target);
      const before = heldBytes();
      const taken = await sendAll(random, each, samples, framesPerType, target);
      const refused = framesPerType - taken;
      const grownBytes = heldBytes() - before;
      onRow({ name: each.type, tried: framesPerType, taken, refused, grownBytes });
    }
  } finally {
    await network.close();
  }
}

function createNetwork(transport: FuzzTransport): RunningPeerNetwork {
  const peers = new Map([[2, { host: LOOPBACK, port: 1 }]]);
  return createPeerNetwork({
    identity: identityOf(1),
    listen: { host: LOOPBACK, port: 0 },
    directory: directoryOf(1, peers),
    transport,
    logger: SILENT,
    onMessages() {},
    onPeerUp() {},
    onPeerReset() {},
    onCall: (call) => call.answer({ status: 'ok', body: call.request.body }),
  });
}

async function sendAll(
  random: Random,
  { frames }: FrameSamples,
  all: readonly FrameSamples[],
  count: number,
  target: Target,
): Promise<number> {
  let taken = 0;
  for (let sent = 0; sent < count; sent += 1) {
    const other = random.pick(random.pick(all).frames);
    if (target(mutatedFrame(random, random.pick(frames), other))) taken += 1;
    if (sent % FRAMES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return taken;
}

function mutatedFrame(random: Random, frame: Buffer, other: Buffer): Buffer {
  if (!random.chance(SEALED)) return mutated(random, frame, other);
  const headEnd = headEndOf(frame);
  const head = frame.subarray(FRAME_HEADER_BYTES, headEnd);
  const bulk = frame.subarray(headEnd);
  const otherHead = other.subarray(FRAME_HEADER_BYTES, headEndOf(other));
  if (random.chance(0.2)) return resealed(frame, head, mutated(random, bulk, otherHead));
  return resealed(frame, mutated(random, head, otherHead), bulk);
}

function targetOf(type: string, transport: FuzzTransport): Target {
  switch (type) {
    case 'hello':
      return (frame) => isOpenAfter(transport.accept(), frame);
    // On connections that this node dials itself: dialling anew after each would take days.
    case 'welcome':
      return decodedBy(readGreeting);
    case 'refusal':
      return decodedBy(readRefusal);
    case 'answer':
      return decodedBy(readAnswer);
    case 'call':
    case 'cancel':
    case 'append':
    case 'snapshotChunk':
      return afterGreeting(transport, HELLO.bulk);
    default:
      return afterGreeting(transport, HELLO.control);
  }
}

function isOpenAfter(socket: FuzzSocket, frame: Buffer): boolean {
  socket.receive(frame);
  const open = !socket.destroyed && !socket.writableEnded;
  socket.destroy();
  return open;
}

/** A connection that was let in, and another one as soon as it is closed. */
function afterGreeting(transport: FuzzTransport, hello: Buffer): Target {
  let socket: FuzzSocket | undefined;
  return (bytes) => {
    if (socket === undefined) {
      socket = transport.accept();
      socket.receive(hello);
    }
    socket.receive(bytes);
    if (!socket.destroyed && isWhole(bytes)) return true;
    // What is cut off would swallow all that comes after it.
    socket.destroy();
    socket = undefined;
    return false;
  };
}

function isWhole(bytes: Buffer): boolean {
  return bytes.length >= FRAME_HEADER_BYTES && bytes.length === wholeBytes(bytes);
}

function decodedBy(read: (frame: Parameters<typeof readAnswer>[0]) => unknown): Target {
  return (frame) => {
    let taken = false;
    try {
      new FrameReader(MAX_FRAME_BYTES, (whole) => {
        read(whole);
        taken = true;
      }).push(frame);
    } catch (error) {
      if (!(error instanceof MalformedFrameError)) throw error;
    }
    return taken;
  };
}
