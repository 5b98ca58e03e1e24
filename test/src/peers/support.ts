/** Networks on loopback for the tests of src/peers, and waiting for events instead of time. */

import type { Socket } from 'node:net';
import { connect } from 'node:net';
import type { PeerMessage } from '../../../raft/messages.ts';
import type { NodeId } from '../../../raft/types.ts';
import { FIRST_LEVEL } from '../../../src/broker/feature-level.ts';
import type { IncomingCall, NodeIdentity, PeerCallOutcome } from '../../../src/peers/api.ts';
import type { Frame } from '../../../src/peers/frame.ts';
import { FrameReader } from '../../../src/peers/frame.ts';
import { FrameWriter } from '../../../src/peers/frame-writer.ts';
import type { PeerDirectory } from '../../../src/peers/gatekeeper.ts';
import type { PeerNetworkOptions, RunningPeerNetwork } from '../../../src/peers/network.ts';
import { createPeerNetwork } from '../../../src/peers/network.ts';
import type { HostPort } from '../../../src/peers/transport.ts';

export const LOOPBACK = '127.0.0.1';

/** Values that come one by one, to be awaited. */
export class Inbox<T> {
  readonly all: T[] = [];
  #taken = 0;
  #wake: (() => void) | undefined;

  push(value: T): void {
    this.all.push(value);
    this.#wake?.();
  }

  async next(): Promise<T> {
    while (this.#taken >= this.all.length) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const value = this.all[this.#taken] as T;
    this.#taken += 1;
    return value;
  }

  async until(predicate: (value: T) => boolean): Promise<T> {
    for (;;) {
      const value = await this.next();
      if (predicate(value)) return value;
    }
  }
}

export type Happening =
  | { readonly kind: 'up' | 'reset'; readonly node: NodeId }
  | { readonly kind: 'change'; readonly node: NodeId; readonly up: boolean };

export interface TestNode {
  readonly network: RunningPeerNetwork;
  readonly happenings: Inbox<Happening>;
  readonly messages: Inbox<{ readonly from: NodeId; readonly message: PeerMessage }>;
  readonly calls: Inbox<IncomingCall>;
  readonly log: string[];
  readonly lives: string[];
}

export function identityOf(node: NodeId, change: Partial<NodeIdentity> = {}): NodeIdentity {
  return { clusterId: 'c1', node, incarnation: `inc-${node}`, bootCounter: 1, ...change };
}

/** Peers at fixed places; where `incarnations` has none for a node, any will do. */
export function directoryOf(
  own: NodeId,
  peers: ReadonlyMap<NodeId, HostPort>,
  incarnations: ReadonlyMap<NodeId, string> = new Map(),
): PeerDirectory {
  return {
    nodes: () => [...peers.keys()].filter((node) => node !== own),
    addressOf: (node) => peers.get(node),
    featureLevel: () => FIRST_LEVEL,
    objection(node, incarnation) {
      if (!peers.has(node)) return { reason: 'unknownNode', why: 'is not a known peer' };
      const known = incarnations.get(node);
      if (known === undefined || known === incarnation) return undefined;
      return { reason: 'wrongIncarnation', why: `has incarnation ${incarnation}, not ${known}` };
    },
  };
}

export function createNode(
  identity: NodeIdentity,
  peers: ReadonlyMap<NodeId, HostPort>,
  change: Partial<PeerNetworkOptions> = {},
): TestNode {
  const happenings = new Inbox<Happening>();
  const messages = new Inbox<{ readonly from: NodeId; readonly message: PeerMessage }>();
  const calls = new Inbox<IncomingCall>();
  const log: string[] = [];
  const lives: string[] = [];
  const write = (line: string): void => {
    log.push(line);
  };
  const network = createPeerNetwork({
    identity,
    listen: { host: LOOPBACK, port: 0 },
    directory: directoryOf(identity.node, peers),
    logger: { info: write, warn: write, error: write },
    onMessages: (from, batch) => {
      for (const message of batch) messages.push({ from, message });
    },
    onPeerUp: (node) => happenings.push({ kind: 'up', node }),
    onPeerReset: (node) => happenings.push({ kind: 'reset', node }),
    onCall: (call) => calls.push(call),
    onPeerLife: (node, life) => lives.push(`${node} ${life.incarnation} ${life.bootCounter}`),
    ...change,
  });
  network.onPeerChange((node, up) => happenings.push({ kind: 'change', node, up }));
  return { network, happenings, messages, calls, log, lives };
}

/** Several nodes that know each other; resolves when all are connected to all. */
export async function startCluster(
  count: number,
  change: Partial<PeerNetworkOptions> = {},
): Promise<TestNode[]> {
  const addresses = new Map<NodeId, HostPort>();
  const ids = Array.from({ length: count }, (_, i) => i + 1);
  for (const id of ids) addresses.set(id, { host: LOOPBACK, port: 1 });
  const nodes = ids.map((id) => createNode(identityOf(id), addresses, change));
  for (const [i, node] of nodes.entries()) {
    await node.network.start();
    addresses.set(i + 1, node.network.address());
  }
  for (const node of nodes) await upWith(node, count - 1);
  return nodes;
}

export async function upWith(node: TestNode, count: number): Promise<void> {
  for (let up = 0; up < count; up += 1) await node.happenings.until((each) => each.kind === 'up');
}

export async function closeAll(nodes: readonly TestNode[]): Promise<void> {
  for (const node of nodes) await node.network.close();
}

export interface CallResult {
  readonly outcome: Promise<PeerCallOutcome>;
  cancel(): void;
}

export function callTo(
  node: TestNode,
  to: NodeId,
  body: Uint8Array,
  change: { readonly timeoutMs?: number; readonly lane?: string; readonly method?: string } = {},
): CallResult {
  const request = { method: '/t/Call', timeoutMs: 20_000, lane: '', body, ...change };
  let settle: (outcome: PeerCallOutcome) => void = () => undefined;
  const outcome = new Promise<PeerCallOutcome>((resolve) => {
    settle = resolve;
  });
  const call = node.network.call(to, request, (result) => settle(result));
  return { outcome, cancel: () => call.cancel() };
}

/** A bare socket to a node, whose frames are collected. */
export interface RawPeer {
  readonly socket: Socket;
  readonly frames: Inbox<Frame>;
  readonly closed: Promise<void>;
}

export function dialRaw(address: HostPort, first?: Uint8Array): RawPeer {
  const frames = new Inbox<Frame>();
  const reader = new FrameReader(20 * 1024 * 1024, (frame) => frames.push(frame));
  const socket = connect({ host: address.host, port: address.port });
  socket.on('error', () => undefined);
  socket.on('data', (chunk) => reader.push(chunk));
  if (first !== undefined) socket.write(first);
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  return { socket, frames, closed };
}

export function encoded(write: (writer: FrameWriter) => void): Buffer {
  const writer = new FrameWriter();
  write(writer);
  return Buffer.concat(writer.take());
}
