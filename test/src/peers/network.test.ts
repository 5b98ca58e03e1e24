import { spawn } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { Heartbeat } from '../../../raft/messages.ts';
import { FrameType } from '../../../src/peers/frame.ts';
import type { ConnectionKind } from '../../../src/peers/handshake.ts';
import { greetingOf, readRefusal, writeGreeting } from '../../../src/peers/handshake.ts';
import type { HostPort } from '../../../src/peers/transport.ts';
import type { TestNode } from './support.ts';
import {
  callTo,
  closeAll,
  createNode,
  dialRaw,
  directoryOf,
  encoded,
  identityOf,
  LOOPBACK,
  startCluster,
  upWith,
} from './support.ts';

const NOWHERE: HostPort = { host: LOOPBACK, port: 1 };
const running: TestNode[] = [];

afterEach(async () => {
  await closeAll(running.splice(0));
});

async function cluster(...[count, change]: Parameters<typeof startCluster>): Promise<TestNode[]> {
  const nodes = await startCluster(count, change);
  running.push(...nodes);
  return nodes;
}

function heartbeat(round: number): Heartbeat {
  return {
    type: 'heartbeat',
    shard: 1,
    from: 1,
    to: 2,
    term: 3,
    commit: 9,
    round,
    rank: 0,
    quiet: false,
  };
}

function hello(from: number, kind: ConnectionKind, change = {}): Buffer {
  const greeting = greetingOf(identityOf(from, change), 1, kind);
  return encoded((writer) => writeGreeting(writer, FrameType.hello, greeting));
}

function welcome(from: number, kind: ConnectionKind): Buffer {
  const greeting = greetingOf(identityOf(from), 1, kind);
  return encoded((writer) => writeGreeting(writer, FrameType.welcome, greeting));
}

/** A node whose only peer, 2, never comes by itself. */
async function lonelyNode(change: Parameters<typeof createNode>[2] = {}): Promise<TestNode> {
  const node = createNode(identityOf(1), new Map([[2, NOWHERE]]), change);
  running.push(node);
  await node.network.start();
  return node;
}

describe('messages', () => {
  it('go both ways and keep their order per lane', async () => {
    const [one, two] = (await cluster(2)) as [TestNode, TestNode];
    for (let round = 0; round < 500; round += 1) {
      one.network.send(2, 'control', [heartbeat(round)]);
      two.network.send(1, 'bulk', [heartbeat(round), heartbeat(round + 1000)]);
    }
    for (let round = 0; round < 500; round += 1) {
      expect(await two.messages.next()).toEqual({ from: 1, message: heartbeat(round) });
      expect(await one.messages.next()).toEqual({ from: 2, message: heartbeat(round) });
      expect(await one.messages.next()).toEqual({ from: 2, message: heartbeat(round + 1000) });
    }
  });

  it('connect three nodes with each other', async () => {
    const nodes = await cluster(3);
    for (const [i, node] of nodes.entries()) {
      const others = [1, 2, 3].filter((id) => id !== i + 1);
      expect(node.network.peers()).toEqual(others);
      for (const other of others) {
        expect(node.network.isUp(other)).toBe(true);
        node.network.send(other, 'control', [heartbeat(i)]);
      }
    }
    for (const node of nodes) {
      const from = [await node.messages.next(), await node.messages.next()];
      expect(new Set(from.map((each) => each.from)).size).toBe(2);
    }
  });

  it('to a node that is not there are dropped and counted', async () => {
    const node = await lonelyNode();
    node.network.send(2, 'control', [heartbeat(1), heartbeat(2)]);
    node.network.send(77, 'control', [heartbeat(1)]);
    expect(node.network.stats().peers[0]?.droppedMessages).toBe(2);
  });

  it('overtake megabytes on the bulk connection', async () => {
    const [one, two] = (await cluster(2)) as [TestNode, TestNode];
    const order: string[] = [];
    const call = callTo(one, 2, Buffer.alloc(16 * 1024 * 1024));
    one.network.send(2, 'control', [heartbeat(1)]);
    const arrived = two.calls.next().then((incoming) => {
      order.push('call');
      incoming.answer({ status: 'ok', body: Buffer.alloc(0) });
    });
    await two.messages.next().then(() => order.push('heartbeat'));
    await arrived;
    await call.outcome;
    expect(order).toEqual(['heartbeat', 'call']);
  });
});

describe('connections', () => {
  it('report the reset of a killed process at once, and its return', async () => {
    const node = await lonelyNode({ limits: { keepAliveIntervalMs: 600_000 } });
    const { port } = node.network.address();
    // Greets on both kinds of connection and then does nothing, as a process that hangs.
    const script = `const net = require('node:net');
      for (const hex of process.argv.slice(1)) {
        const socket = net.connect(${port}, '${LOOPBACK}');
        socket.write(Buffer.from(hex, 'hex'));
        socket.on('data', () => console.log('welcome'));
      }`;
    const greetings = [hello(2, 'control').toString('hex'), hello(2, 'bulk').toString('hex')];
    const child = spawn(process.execPath, ['-e', script, ...greetings]);
    let welcomes = 0;
    await new Promise<void>((resolve) => {
      child.stdout.on('data', (text) => {
        welcomes += String(text).split('welcome').length - 1;
        if (welcomes === 2) resolve();
      });
    });
    const killedAt = performance.now();
    child.kill('SIGKILL');
    expect(await node.happenings.next()).toEqual({ kind: 'reset', node: 2 });
    expect(performance.now() - killedAt).toBeLessThan(250);
    const again = dialRaw(node.network.address(), hello(2, 'control', { bootCounter: 2 }));
    expect((await again.frames.next()).type).toBe(FrameType.welcome);
    expect(node.lives).toEqual(['2 inc-2 1', '2 inc-2 2']);
    again.socket.destroy();
    expect(await node.happenings.next()).toEqual({ kind: 'reset', node: 2 });
  });

  it('come back after the peer has restarted', async () => {
    const [one, two] = (await cluster(2)) as [TestNode, TestNode];
    const address = two.network.address();
    const peers = new Map([[1, one.network.address()]]);
    await two.network.close();
    await one.happenings.until((each) => each.kind === 'reset');
    expect(one.network.isUp(2)).toBe(false);
    const reborn = createNode(identityOf(2, { bootCounter: 2 }), peers, { listen: address });
    running.push(reborn);
    await reborn.network.start();
    await upWith(one, 1);
    await upWith(reborn, 1);
    reborn.network.send(1, 'control', [heartbeat(5)]);
    expect((await one.messages.next()).message).toEqual(heartbeat(5));
    expect(one.lives).toEqual(['2 inc-2 1', '2 inc-2 2']);
  });

  it('are dialled back at once when the peer dials, whatever the backoff', async () => {
    const limits = { minBackoffMs: 600_000, maxBackoffMs: 600_000 };
    // The first node's own dials fail before the second one is there.
    const nodes = await cluster(2, { limits });
    expect(nodes.map((node) => node.network.stats().peers[0]?.dials)).toEqual([4, 2]);
  });

  it('are replaced by newer ones of the same kind without a reset', async () => {
    const node = await lonelyNode({ limits: { keepAliveIntervalMs: 600_000 } });
    const first = dialRaw(node.network.address(), hello(2, 'control'));
    await first.frames.next();
    const second = dialRaw(node.network.address(), hello(2, 'control'));
    await second.frames.next();
    await first.closed;
    expect(node.happenings.all).toEqual([]);
    second.socket.destroy();
    expect(await node.happenings.next()).toEqual({ kind: 'reset', node: 2 });
  });

  it('of a former life are closed, with a reset, when the peer comes anew', async () => {
    const node = await lonelyNode({ limits: { keepAliveIntervalMs: 600_000 } });
    const first = dialRaw(node.network.address(), hello(2, 'control'));
    await first.frames.next();
    const second = dialRaw(node.network.address(), hello(2, 'bulk', { bootCounter: 2 }));
    await second.frames.next();
    expect(await node.happenings.next()).toEqual({ kind: 'reset', node: 2 });
    await first.closed;
    second.socket.destroy();
  });

  it('that break right after every handshake are dialled ever more slowly', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (data) => {
        const kind = data.includes('"bulk"') ? 'bulk' : 'control';
        socket.write(welcome(2, kind));
        socket.write(Buffer.alloc(50, 0xff));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
    const { port } = server.address() as AddressInfo;
    const victim = createNode(identityOf(1), new Map([[2, { host: LOOPBACK, port }]]));
    running.push(victim);
    await victim.network.start();
    await expect.poll(() => victim.network.stats().refusals.malformed).toBeGreaterThan(6);
    for (let i = 0; i < 40; i += 1) {
      const raw = dialRaw(victim.network.address(), hello(2, 'bulk'));
      await raw.frames.next();
      raw.socket.destroy();
    }
    expect(victim.network.stats().peers[0]?.dials).toBeLessThan(40);
    await new Promise((resolve) => server.close(resolve));
  });

  it('on which nothing moves are closed, those with pings are kept', async () => {
    const limits = { keepAliveIntervalMs: 20, maxSilenceControlMs: 100 };
    const nodes = await cluster(2, { limits });
    const node = await lonelyNode({ limits });
    const silent = dialRaw(node.network.address(), hello(2, 'control'));
    await silent.frames.next();
    await silent.closed;
    expect(nodes.flatMap((each) => each.happenings.all).some((each) => each.kind === 'reset')).toBe(
      false,
    );
    expect(nodes[0]?.network.stats().peers[0]?.dials).toBeLessThanOrEqual(8);
  });
});

describe('refusals', () => {
  const cases = [
    { reason: 'wrongCluster', greeting: hello(2, 'control', { clusterId: 'other' }) },
    { reason: 'unknownNode', greeting: hello(9, 'control') },
    { reason: 'selfConnection', greeting: hello(1, 'control') },
    { reason: 'wrongIncarnation', greeting: hello(2, 'bulk', { incarnation: 'wiped' }) },
    { reason: 'staleBoot', greeting: hello(2, 'bulk', { bootCounter: 6 }) },
  ] as const;
  for (const { reason, greeting } of cases) {
    it(`say ${reason} to the dialler, count it and log one line`, async () => {
      const node = await lonelyNode({
        directory: directoryOf(1, new Map([[2, NOWHERE]]), new Map([[2, 'inc-2']])),
        seenLives: new Map([[2, { incarnation: 'inc-2', bootCounter: 7 }]]),
      });
      const raw = dialRaw(node.network.address(), greeting);
      const frame = await raw.frames.next();
      expect(readRefusal(frame).reason).toBe(reason);
      await raw.closed;
      expect(node.network.stats().refusals).toEqual({ [reason]: 1 });
      expect(node.log).toHaveLength(1);
    });
  }

  it('reach a node of another cluster, which says so and goes on trying', async () => {
    const node = await lonelyNode();
    const stranger = createNode(
      identityOf(2, { clusterId: 'c2' }),
      new Map([[1, node.network.address()]]),
    );
    running.push(stranger);
    await stranger.network.start();
    for (const kind of ['control', 'bulk'] as const) {
      const raw = dialRaw(node.network.address(), hello(2, kind, { clusterId: 'c2' }));
      await raw.closed;
    }
    await expect
      .poll(() => stranger.log.join('\n'))
      .toMatch(/node 1 refuses this node: wrongCluster: node 2 is of cluster c2, not c1/);
    expect(stranger.network.isUp(1)).toBe(false);
  });

  it('come in time for those who never say who they are', async () => {
    const node = await lonelyNode({ limits: { handshakeTimeoutMs: 30 } });
    const raws = Array.from({ length: 3 }, () => dialRaw(node.network.address()));
    for (const raw of raws) await raw.closed;
    expect(node.network.stats().refusals).toEqual({ timeout: 3 });
    expect(node.network.stats().pendingHandshakes).toBe(0);
  });

  it('come at once for those who find too many others waiting', async () => {
    const limits = { handshakeTimeoutMs: 600_000, maxPendingHandshakes: 3 };
    const node = await lonelyNode({ limits });
    const raws = Array.from({ length: 5 }, () => dialRaw(node.network.address()));
    await expect.poll(() => node.network.stats().refusals).toEqual({ tooManyPending: 2 });
    expect(node.network.stats().pendingHandshakes).toBe(3);
    await node.network.close();
    for (const raw of raws) await raw.closed;
  });

  it('meet garbage, long greetings and frames out of turn', async () => {
    const node = await lonelyNode();
    const long = Buffer.alloc(64, 0);
    long.writeUInt32LE(5000, 4);
    const ping = encoded((writer) => {
      writer.begin(0);
      writer.endHead();
      writer.end(FrameType.ping);
    });
    const garbage = [Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'), long, ping];
    for (const bytes of garbage) await dialRaw(node.network.address(), bytes).closed;
    expect(node.network.stats().refusals).toEqual({ malformed: 3 });
  });

  it('close an established connection on which damage arrives, and only that', async () => {
    const node = await lonelyNode();
    const bulk = dialRaw(node.network.address(), hello(2, 'bulk'));
    const control = dialRaw(node.network.address(), hello(2, 'control'));
    await bulk.frames.next();
    await control.frames.next();
    bulk.socket.write(Buffer.alloc(100, 7));
    await bulk.closed;
    expect(node.happenings.all).toEqual([]);
    expect(control.socket.destroyed).toBe(false);
    control.socket.destroy();
  });
});

it('fails to start on a port that is taken', async () => {
  const node = await lonelyNode();
  const second = createNode(identityOf(2), new Map(), { listen: node.network.address() });
  await expect(second.network.start()).rejects.toThrow(/EADDRINUSE/);
  await second.network.close();
});

describe('members that come and go', () => {
  it('are dialled when they are new, and let go of when they are none any more', async () => {
    const peers = new Map<number, HostPort>();
    const first = createNode(identityOf(1), peers);
    running.push(first);
    await first.network.start();
    const second = createNode(identityOf(2), new Map([[1, first.network.address()]]));
    running.push(second);
    await second.network.start();
    expect(first.network.peers()).toEqual([]);
    peers.set(2, second.network.address());
    first.network.membersChanged();
    await upWith(first, 1);
    await upWith(second, 1);
    peers.delete(2);
    first.network.membersChanged();
    expect(first.network.peers()).toEqual([]);
    expect(first.network.isUp(2)).toBe(false);
    await second.happenings.until(({ kind }) => kind === 'reset');
    await expect.poll(() => second.log.join('\n')).toMatch(/refuses this node: unknownNode/);
  });

  it('another directory under the same number ends what the old one had open', async () => {
    const nodes = await cluster(2);
    const [one, two] = nodes as [TestNode, TestNode];
    const incarnations = new Map([[2, 'inc-2']]);
    const peers = new Map([[2, two.network.address()]]);
    const strict = createNode(identityOf(1, { bootCounter: 2 }), peers, {
      directory: directoryOf(1, peers, incarnations),
      listen: { host: LOOPBACK, port: 0 },
    });
    await one.network.close();
    running.push(strict);
    await strict.network.start();
    const raw = dialRaw(strict.network.address(), hello(2, 'control'));
    expect((await raw.frames.next()).type).toBe(FrameType.welcome);
    incarnations.set(2, 'another');
    strict.network.membersChanged();
    await raw.closed;
  });
});
