import { afterEach, describe, expect, it } from 'vitest';
import type { IncomingCall, PeerCallOutcome } from '../../../src/peers/api.ts';
import { writeCall } from '../../../src/peers/call-frames.ts';
import { FrameType } from '../../../src/peers/frame.ts';
import { greetingOf, writeGreeting } from '../../../src/peers/handshake.ts';
import type { TestNode } from './support.ts';
import {
  callTo,
  closeAll,
  createNode,
  dialRaw,
  encoded,
  identityOf,
  LOOPBACK,
  startCluster,
} from './support.ts';

const running: TestNode[] = [];

afterEach(async () => {
  await closeAll(running.splice(0));
});

async function pair(...[change]: [Parameters<typeof startCluster>[1]?]): Promise<TestNode[]> {
  const nodes = await startCluster(2, change);
  running.push(...nodes);
  return nodes;
}

function echo(call: IncomingCall): void {
  call.answer({ status: 'ok', body: Buffer.concat([Buffer.from('re: '), call.request.body]) });
}

function textOf(outcome: PeerCallOutcome): string {
  return 'body' in outcome ? `${outcome.status} ${Buffer.from(outcome.body)}` : outcome.status;
}

/** Nothing is left of any call on either side. */
function expectNoTrace(nodes: readonly TestNode[]): void {
  for (const node of nodes) {
    const { peers, deadlines } = node.network.stats();
    expect(deadlines).toBe(0);
    for (const peer of peers) expect([peer.outgoingCalls, peer.incomingCalls]).toEqual([0, 0]);
  }
}

const NOBODY = { principal: '', principalBytes: 0, traceparent: '', body: Buffer.alloc(0) };

describe('a call', () => {
  it('is answered, with a value or an error, big and small', async () => {
    const nodes = await pair();
    const [one, two] = nodes as [TestNode, TestNode];
    const big = Buffer.alloc(5_000_000, 'x');
    const first = callTo(one, 2, Buffer.from('small'), { lane: 'q7', method: '/a/B' });
    const second = callTo(one, 2, big);
    const third = callTo(one, 2, Buffer.from('bad'));
    const incoming = await two.calls.next();
    expect(incoming.from).toBe(1);
    expect(incoming.request.method).toBe('/a/B');
    expect(incoming.request.lane).toBe('q7');
    expect(incoming.request.timeoutMs).toBeGreaterThan(19_000);
    echo(incoming);
    echo(await two.calls.next());
    const third2 = await two.calls.next();
    third2.answer({ status: 'error', body: Buffer.from('no') });
    third2.answer({ status: 'ok', body: Buffer.from('too late') });
    expect(textOf(await first.outcome)).toBe('ok re: small');
    expect(textOf(await second.outcome)).toBe(`ok re: ${big}`);
    expect(textOf(await third.outcome)).toBe('error no');
    expectNoTrace(nodes);
  });

  it('to nobody is notSent, and never before call() returns', async () => {
    const node = createNode(identityOf(1), new Map([[2, { host: LOOPBACK, port: 1 }]]));
    running.push(node);
    await node.network.start();
    for (const to of [2, 3]) {
      let outcome: PeerCallOutcome | undefined;
      const request = { method: 'm', timeoutMs: 100, lane: '', body: Buffer.alloc(1) };
      node.network.call(to, request, (result) => {
        outcome = result;
      });
      expect(outcome).toBeUndefined();
      await Promise.resolve();
      expect(outcome).toEqual({ status: 'notSent' });
    }
  });

  it('that was written when the connection breaks is lost, another one notSent', async () => {
    const [one, two] = (await pair()) as [TestNode, TestNode];
    const written = callTo(one, 2, Buffer.from('a'));
    const incoming = await two.calls.next();
    let cancels = 0;
    incoming.onCancel(() => {
      cancels += 1;
    });
    const waiting = callTo(one, 2, Buffer.from('b'));
    const closing = one.network.close();
    expect(await written.outcome).toEqual({ status: 'lost' });
    expect(await waiting.outcome).toEqual({ status: 'notSent' });
    await closing;
    await two.happenings.until((each) => each.kind === 'reset');
    await expect.poll(() => cancels).toBe(1);
    incoming.answer({ status: 'ok', body: Buffer.alloc(0) });
    expect(two.calls.all).toHaveLength(1);
    expectNoTrace([one, two]);
  });

  it('to a node that falls silent ends as if the connection broke, and so do others', async () => {
    const [one, two] = (await pair()) as [TestNode, TestNode];
    const written = callTo(one, 2, Buffer.from('a'));
    const incoming = await two.calls.next();
    const cancelled = new Promise<void>((resolve) => incoming.onCancel(resolve));
    const waiting = callTo(one, 2, Buffer.from('b'));
    one.network.setSilent(2, true);
    expect(await written.outcome).toEqual({ status: 'lost' });
    expect(await waiting.outcome).toEqual({ status: 'notSent' });
    expect(await callTo(one, 2, Buffer.from('c')).outcome).toEqual({ status: 'notSent' });
    expect(one.network.isUp(2)).toBe(false);
    await cancelled;
    incoming.answer({ status: 'ok', body: Buffer.from('too late') });
    one.network.setSilent(2, false);
    one.network.setSilent(2, false);
    const again = callTo(one, 2, Buffer.from('d'));
    echo(await two.calls.next());
    expect(textOf(await again.outcome)).toBe('ok re: d');
    const changes = one.happenings.all.filter((each) => each.kind === 'change');
    expect(changes.map((each) => each.kind === 'change' && each.up)).toEqual([true, false, true]);
    expect(one.happenings.all.filter((each) => each.kind === 'reset')).toEqual([]);
    expectNoTrace([one, two]);
  });

  it('that nobody answers times out on both sides', async () => {
    const nodes = await pair();
    const [one, two] = nodes as [TestNode, TestNode];
    const call = callTo(one, 2, Buffer.from('a'), { timeoutMs: 30 });
    const incoming = await two.calls.next();
    const cancelled = new Promise<void>((resolve) => incoming.onCancel(resolve));
    expect(await call.outcome).toEqual({ status: 'timeout' });
    await cancelled;
    incoming.answer({ status: 'ok', body: Buffer.alloc(0) });
    expectNoTrace(nodes);
  });

  it('that is cancelled is lost, unless the other side still has an answer', async () => {
    const nodes = await pair();
    const [one, two] = nodes as [TestNode, TestNode];
    const plain = callTo(one, 2, Buffer.from('a'));
    const answering = callTo(one, 2, Buffer.from('b'));
    const first = await two.calls.next();
    const second = await two.calls.next();
    second.onCancel(() => second.answer({ status: 'ok', body: Buffer.from('half') }));
    plain.cancel();
    answering.cancel();
    answering.cancel();
    expect(await plain.outcome).toEqual({ status: 'lost' });
    expect(textOf(await answering.outcome)).toBe('ok half');
    let told = false;
    first.onCancel(() => {
      told = true;
    });
    expect(told).toBe(true);
    expectNoTrace(nodes);
  });

  it('that is cancelled before it left is notSent and never arrives', async () => {
    const nodes = await pair();
    const [one, two] = nodes as [TestNode, TestNode];
    const call = callTo(one, 2, Buffer.from('a'));
    call.cancel();
    expect(await call.outcome).toEqual({ status: 'notSent' });
    const next = callTo(one, 2, Buffer.from('b'));
    const incoming = await two.calls.next();
    expect(Buffer.from(incoming.request.body).toString()).toBe('b');
    echo(incoming);
    await next.outcome;
    expectNoTrace(nodes);
  });

  it('in 10,000 with every second one cancelled leaves no entry behind', async () => {
    const nodes = await pair();
    const [one, two] = nodes as [TestNode, TestNode];
    const calls = Array.from({ length: 10_000 }, (_, i) => callTo(one, 2, Buffer.from(`${i}`)));
    const refused = callTo(one, 2, Buffer.from('one too many'));
    expect(await refused.outcome).toEqual({ status: 'notSent' });
    await two.calls.next();
    for (let i = 0; i < calls.length; i += 2) calls[i]?.cancel();
    for (let i = 1; i < calls.length; i += 1) await two.calls.next();
    for (const incoming of two.calls.all) {
      if (Number(Buffer.from(incoming.request.body).toString()) % 2 === 1) echo(incoming);
    }
    const outcomes = await Promise.all(calls.map((each) => each.outcome));
    for (const [i, outcome] of outcomes.entries()) {
      if (i % 2 === 1) expect(textOf(outcome)).toBe(`ok re: ${i}`);
      else expect(outcome).toEqual({ status: 'lost' });
    }
    expectNoTrace(nodes);
  });

  it('whose answer is over the frame limit is lost, alone', async () => {
    const nodes = await pair({ limits: { maxFrameBytes: 10_000 } });
    const [one, two] = nodes as [TestNode, TestNode];
    const big = callTo(one, 2, Buffer.from('a'));
    const small = callTo(one, 2, Buffer.from('b'));
    (await two.calls.next()).answer({ status: 'ok', body: Buffer.alloc(10_000) });
    echo(await two.calls.next());
    expect(await big.outcome).toEqual({ status: 'lost' });
    expect(textOf(await small.outcome)).toBe('ok re: b');
    expect(await callTo(one, 2, Buffer.alloc(10_000)).outcome).toEqual({ status: 'notSent' });
    expect(two.network.stats().peers[0]?.droppedAnswers).toBe(1);
    expectNoTrace(nodes);
  });
});

describe('a peer that does not read', () => {
  it('costs a bounded amount of memory and definite outcomes', async () => {
    const limits = { maxQueuedBulkBytes: 4_000_000, maxFlushBytes: 1_000_000 };
    const [one, two] = (await pair({ limits })) as [TestNode, TestNode];
    // Two's event loop is this one: it reads nothing before all calls are made.
    const calls = Array.from({ length: 60 }, () => callTo(one, 2, Buffer.alloc(100_000)));
    const queued = one.network.stats().peers[0]?.queuedBulkBytes ?? 0;
    expect(queued).toBeLessThanOrEqual(4_000_000);
    for (let i = 0; i < 39; i += 1) echo(await two.calls.next());
    const outcomes = await Promise.all(calls.map((each) => each.outcome));
    expect(outcomes.filter((each) => each.status === 'ok')).toHaveLength(39);
    expect(outcomes.filter((each) => each.status === 'notSent')).toHaveLength(21);
  });

  it('does not keep the answers to its calls in memory', async () => {
    const limits = { maxQueuedBulkBytes: 2_000_000 };
    const node = createNode(identityOf(1), new Map([[2, { host: LOOPBACK, port: 1 }]]), { limits });
    running.push(node);
    await node.network.start();
    const hello = greetingOf(identityOf(2), 1, 'bulk');
    const raw = dialRaw(
      node.network.address(),
      encoded((writer) => writeGreeting(writer, FrameType.hello, hello)),
    );
    await raw.frames.next();
    raw.socket.pause();
    const fields = { ...{ method: 'm', methodBytes: 1, lane: '', laneBytes: 0 }, ...NOBODY };
    raw.socket.write(
      encoded((writer) => {
        for (let id = 1; id <= 100; id += 1) writeCall(writer, { id, ...fields }, 60_000);
      }),
    );
    for (let i = 0; i < 100; i += 1) {
      (await node.calls.next()).answer({ status: 'ok', body: Buffer.alloc(1_000_000) });
    }
    expect(node.network.stats().peers[0]?.droppedAnswers).toBeGreaterThan(50);
    raw.socket.resume();
    for (let i = 0; i < 100; i += 1) expect((await raw.frames.next()).type).toBe(FrameType.answer);
    raw.socket.destroy();
  });

  it('loses its connection when it makes more calls than agreed', async () => {
    const limits = { maxCallsInFlight: 3 };
    const node = createNode(identityOf(1), new Map([[2, { host: LOOPBACK, port: 1 }]]), { limits });
    running.push(node);
    await node.network.start();
    const hello = greetingOf(identityOf(2), 1, 'bulk');
    const fields = { ...{ method: 'm', methodBytes: 1, lane: '', laneBytes: 0 }, ...NOBODY };
    const bytes = encoded((writer) => {
      writeGreeting(writer, FrameType.hello, hello);
      for (let id = 1; id <= 7; id += 1) writeCall(writer, { id, ...fields }, 60_000);
    });
    await dialRaw(node.network.address(), bytes).closed;
    expect(node.calls.all).toHaveLength(6);
    expect(node.network.stats().refusals).toEqual({ malformed: 1 });
    expectNoTrace([node]);
  });
});
