/** That the campaigns can fail, and that they reach what they are about. */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { FrameType } from '../../src/peers/frame.ts';
import { MESSAGE_NUMBERS } from '../../src/peers/message-format.ts';
import { Random } from '../../src/sim/random.ts';
import { outcomeOf } from './call-outcome.ts';
import { messagesOfProto, methods } from './calls.ts';
import { frameSamples } from './frame-samples.ts';
import { fuzzFrames } from './frames.ts';
import { mutated } from './mutate.ts';
import { RequestMaker } from './requests.ts';
import type { Row } from './row.ts';

const WITHOUT_CONTENT = ['ping', 'pong', 'messages'];

function errorOf(code: number, reason?: string): ServiceError {
  const metadata = new Metadata();
  if (reason !== undefined) metadata.set('holdfast-reason', reason);
  return Object.assign(new Error('text'), { code, details: 'text', metadata });
}

describe('frames', () => {
  it('every type of message and of frame is sent, some taken and some refused', async () => {
    const rows: Row[] = [];
    await fuzzFrames({ framesPerType: 400, seed: 3, onRow: (row) => rows.push(row) });
    const frames = Object.keys(FrameType).filter((type) => !WITHOUT_CONTENT.includes(type));
    const expected = [...Object.keys(MESSAGE_NUMBERS), ...frames].sort();
    expect(rows.map(({ name }) => name).sort()).toEqual(expected);
    expect(rows.filter(({ taken, refused }) => taken === 0 || refused === 0)).toEqual([]);
  });

  it('one seed makes the same frames', () => {
    const made = [1, 1, 2].map((seed) => {
      const random = new Random(seed);
      const { frames } = frameSamples(seed)[0]!;
      return mutated(random, frames[0]!, frames[1]!).toString('hex');
    });
    expect(made[0]).toBe(made[1]);
    expect(made[0]).not.toBe(made[2]);
  });
});

describe('calls', () => {
  const request = Buffer.from([1]);

  it.each([
    ['an answer', null, 'taken'],
    ['an error of ours', errorOf(status.NOT_FOUND, 'TOPIC_NOT_FOUND'), 'refused'],
    ['given up', errorOf(status.CANCELLED), 'ended by the caller'],
    ['out of time', errorOf(status.DEADLINE_EXCEEDED), 'ended by the caller'],
  ])('%s', (_, error, outcome) => {
    expect(outcomeOf('/x', request, error)).toBe(outcome);
  });

  it.each([
    ['a bug', errorOf(status.INTERNAL, 'INTERNAL')],
    ['nothing of ours', errorOf(status.INTERNAL)],
    ['a broken connection', errorOf(status.UNAVAILABLE)],
  ])('%s fails, and names the request', (_, error) => {
    expect(() => outcomeOf('/x', request, error)).toThrow('/x 01');
  });

  it.each(methods())('$path: some requests are sound, others are not', (method) => {
    const alive = { topic: ['orders'], group: ['g'] };
    const maker = new RequestMaker(new Random(5), messagesOfProto(), alive);
    const sizes = new Set<number>();
    let sound = 0;
    for (let made = 0; made < 200; made += 1) {
      const bytes = maker.make(method.requestType);
      sizes.add(bytes.length);
      try {
        method.requestDeserialize(bytes);
        sound += 1;
      } catch {
        // Damaged as bytes.
      }
    }
    expect(sound).toBeGreaterThan(100);
    const isEmpty = (method.requestType.type as { field: unknown[] }).field.length === 0;
    if (!isEmpty) expect(sizes.size).toBeGreaterThan(2);
  });
});
