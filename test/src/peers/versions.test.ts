/** Builds beside each other: which of them may speak, and what they speak. */

import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FIRST_LEVEL, NEWEST_LEVEL } from '../../../src/broker/feature-level.ts';
import { readCall } from '../../../src/peers/call-frames.ts';
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
import { createNode, directoryOf, encoded, identityOf, LOOPBACK } from './support.ts';

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

/** What node 1 sends to a node 2 that says so much of itself, when it forwards a call. */
async function forwardedTo(knows: object): Promise<{ principal: string; traceparent: string }> {
  const welcome = { ...greetingOf(identityOf(2), 1, 'bulk'), ...knows };
  const frames = (kind: 'bulk' | 'control') =>
    encoded((writer) => writeGreeting(writer, FrameType.welcome, { ...welcome, kind }));
  let called: (call: ReturnType<typeof readCall>) => void;
  const call = new Promise<ReturnType<typeof readCall>>((resolve) => {
    called = resolve;
  });
  const server = createServer((socket) => {
    const reader = new FrameReader(100_000, (frame) => {
      if (frame.type === FrameType.hello) socket.write(frames(readGreeting(frame).kind));
      else if (frame.type === FrameType.call) called(readCall(frame));
    });
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => reader.push(chunk));
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  const { port } = server.address() as AddressInfo;
  const node = createNode(identityOf(1), new Map([[2, { host: LOOPBACK, port }]]));
  await node.network.start();
  onTestFinished(async () => {
    await node.network.close();
    server.close();
  });
  const origin = { principal: 'app', traceparent: '00-1-2-01' };
  const request = { method: '/t/Call', timeoutMs: 5_000, lane: '', body: Buffer.alloc(1) };
  const again = () =>
    node.network.call(2, { ...request, ...origin }, ({ status }) => {
      if (status === 'notSent') setTimeout(again, 20);
    });
  again();
  return call;
}

describe('a forwarded call', () => {
  it('says who asks and what it is part of where the other build reads that', async () => {
    expect(await forwardedTo({})).toMatchObject({ principal: 'app', traceparent: '00-1-2-01' });
  });

  it('is as it was before for a build that would not', async () => {
    const old = { newestProtocol: OLDEST_PROTOCOL };
    expect(await forwardedTo(old)).toMatchObject({ principal: '', traceparent: '' });
  });
});
