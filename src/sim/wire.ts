/**
 * Peer messages as the bytes that they are between machines: written and read by the codec of
 * production, in chunks as a socket cuts them, and now and then with a bit turned over on the way.
 */
import { strict as assert } from 'node:assert';
import type { PeerMessage } from '../../raft/messages.ts';
import { FrameReader } from '../peers/frame.ts';
import { FrameWriter } from '../peers/frame-writer.ts';
import { DEFAULT_PEER_LIMITS } from '../peers/limits.ts';
import { MalformedFrameError } from '../peers/malformed.ts';
import { readMessages } from '../peers/message-reader.ts';
import { writeMessages } from '../peers/message-writer.ts';
import type { Random } from './random.ts';

const { maxFrameBytes } = DEFAULT_PEER_LIMITS;
const CUT_SHARE = 0.3;

/** What a connection gives its reader before it ends, if it ends. */
export interface Heard {
  readonly messages: readonly PeerMessage[];
  readonly isBroken: boolean;
}

export class Wire {
  readonly #writer = new FrameWriter();
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  write(messages: readonly PeerMessage[]): Buffer {
    const leftOut = writeMessages(this.#writer, messages, maxFrameBytes);
    assert(leftOut === 0, 'every message fits into a frame');
    return Buffer.concat(this.#writer.take());
  }

  garble(bytes: Buffer): Buffer {
    const garbled = Buffer.from(bytes);
    garbled[this.#random.between(0, bytes.length - 1)]! ^= 1 << this.#random.between(0, 7);
    return garbled;
  }

  /** Each reading gives messages of their own, as each copy of a packet does. */
  read(bytes: Buffer): Heard {
    const messages: PeerMessage[] = [];
    let frameBytes = 0;
    const reader = new FrameReader(maxFrameBytes, (frame) => {
      frameBytes += frame.bytes.length;
      messages.push(...readMessages(frame));
    });
    const cut = this.#random.chance(CUT_SHARE) ? this.#random.between(0, bytes.length) : 0;
    try {
      reader.push(bytes.subarray(0, cut));
      reader.push(bytes.subarray(cut));
    } catch (error) {
      if (!(error instanceof MalformedFrameError)) throw error;
      return { messages, isBroken: true };
    }
    return { messages, isBroken: frameBytes < bytes.length };
  }
}
