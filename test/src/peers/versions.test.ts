/** Builds beside each other: which of them may speak, and what they speak. */
import { describe, expect, it } from 'vitest';
import { FIRST_LEVEL, NEWEST_LEVEL } from '../../../src/broker/feature-level.ts';
import { FrameReader, FrameType } from '../../../src/peers/frame.ts';
import { Gatekeeper } from '../../../src/peers/gatekeeper.ts';
import {
  type Greeting,
  greetingOf,
  NEWEST_PROTOCOL,
  OLDEST_PROTOCOL,
  readGreeting,
  spokenProtocol,
  writeGreeting,
} from '../../../src/peers/handshake.ts';
import { directoryOf, encoded, identityOf } from './support.ts';

const greeting = greetingOf(identityOf(2), 1, 'bulk');

/** As it arrives. */
function read(sent: object): Greeting {
  let found: Greeting | undefined;
  const bytes = encoded((writer) => writeGreeting(writer, FrameType.hello, sent as Greeting));
  new FrameReader(10_000, (frame) => {
    found = readGreeting(frame);
  }).push(bytes);
  return found!;
}

function judgedAt(level: number, change: Partial<Greeting>) {
  const addresses = new Map([1, 2].map((node) => [node, { host: 'h', port: node }]));
  const directory = { ...directoryOf(1, addresses), featureLevel: () => level };
  const keeper = new Gatekeeper(identityOf(1), directory, [], () => undefined);
  return keeper.judge({ ...greeting, ...change }, undefined);
}

describe('a greeting', () => {
  it('says the oldest protocol where builds look that know one alone', () => {
    expect(greeting.protocol).toBe(OLDEST_PROTOCOL);
    expect(read(greeting)).toEqual(greeting);
  });

  it('of a build that says neither range nor level is read', () => {
    const { featureLevel: _, newestProtocol: __, ...old } = greeting;
    expect(read(old)).toEqual({
      ...old,
      newestProtocol: OLDEST_PROTOCOL,
      featureLevel: FIRST_LEVEL,
    });
  });
});

describe('two builds', () => {
  it.each([
    [OLDEST_PROTOCOL, OLDEST_PROTOCOL, OLDEST_PROTOCOL],
    [OLDEST_PROTOCOL, NEWEST_PROTOCOL, NEWEST_PROTOCOL],
    [NEWEST_PROTOCOL, NEWEST_PROTOCOL + 3, NEWEST_PROTOCOL],
    [NEWEST_PROTOCOL + 1, NEWEST_PROTOCOL + 1, undefined],
    [1, OLDEST_PROTOCOL - 1, undefined],
  ])('%i to %i: speak %s', (protocol, newestProtocol, spoken) => {
    expect(spokenProtocol({ ...greeting, protocol, newestProtocol })).toBe(spoken);
    const refusal = judgedAt(FIRST_LEVEL, { protocol, newestProtocol });
    expect(refusal?.reason).toBe(spoken === undefined ? 'wrongProtocol' : undefined);
  });

  it('one that does not know the level of the cluster is told to upgrade', () => {
    expect(judgedAt(NEWEST_LEVEL, { featureLevel: NEWEST_LEVEL - 1 })).toMatchObject({
      reason: 'wrongProtocol',
      detail: expect.stringMatching(/install a newer build/),
    });
    expect(judgedAt(NEWEST_LEVEL, { featureLevel: NEWEST_LEVEL })).toBeUndefined();
    expect(judgedAt(FIRST_LEVEL, { featureLevel: FIRST_LEVEL })).toBeUndefined();
  });
});
