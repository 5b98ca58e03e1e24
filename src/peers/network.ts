/**
 * The network between the nodes of a cluster. Each node dials two connections to each other node,
 * `control` and `bulk` (internals rule 11), and speaks only on those; on the connections that it
 * accepted it listens, and answers the calls that came in on them.
 */
import { performance } from 'node:perf_hooks';
import type { PeerMessage } from '../../raft/messages.ts';
import type { NodeId } from '../../raft/types.ts';
import { Acceptor } from './acceptor.ts';
import type { IncomingCall, NodeIdentity, PeerCall, PeerNetwork } from './api.ts';
import type { ConnectionEvents } from './connection.ts';
import type { PeerContext, PeerLogger } from './context.ts';
import { Refusals } from './context.ts';
import { Deadlines } from './deadlines.ts';
import { FrameWriter } from './frame-writer.ts';
import type { Life, PeerDirectory } from './gatekeeper.ts';
import { Gatekeeper } from './gatekeeper.ts';
import type { Refusal, RefusalReason } from './handshake.ts';
import type { PeerLimits } from './limits.ts';
import { DEFAULT_PEER_LIMITS } from './limits.ts';
import type { PeerEvents, PeerStats } from './peer.ts';
import { Peer } from './peer.ts';
import { Resolver } from './resolver.ts';
import type { HostPort, PeerTransport } from './transport.ts';
import { TCP_TRANSPORT } from './transport.ts';

export interface PeerNetworkOptions {
  readonly identity: NodeIdentity;
  /** Port 0 takes a free one; `start` tells which. */
  readonly listen: HostPort;
  /** Asked at every dial and handshake. */
  readonly directory: PeerDirectory;
  /** The latest life of each peer that earlier boots of this node saw (internals rule 8). */
  readonly seenLives?: ReadonlyMap<NodeId, Life>;
  readonly limits?: Partial<PeerLimits>;
  readonly transport?: PeerTransport;
  readonly logger: PeerLogger;
  onMessages(from: NodeId, messages: readonly PeerMessage[]): void;
  /** This node and the peer can speak and be spoken to. */
  onPeerUp(node: NodeId): void;
  /** The peer's control connection to this node is gone (its process died, or the way to it). */
  onPeerReset(node: NodeId): void;
  onCall(call: IncomingCall): void;
  /** A peer does not let this node in. */
  onRefused?(by: NodeId, refusal: Refusal): void;
  /** A life of a peer that was not seen before: to be remembered across boots. */
  onPeerLife?(node: NodeId, life: Life): void;
}

export interface PeerNetworkStats {
  readonly peers: readonly PeerStats[];
  readonly refusals: Readonly<Partial<Record<RefusalReason, number>>>;
  readonly pendingHandshakes: number;
  readonly deadlines: number;
}

export interface RunningPeerNetwork extends PeerNetwork {
  /** Listens, then dials; rejects if the address cannot be listened on. */
  start(): Promise<void>;
  /** Dials whoever is new in the directory, lets go of whoever is not in it any more. */
  membersChanged(): void;
  /** For want of signs of life the node counts as down, whatever its connections are. */
  setSilent(node: NodeId, isSilent: boolean): void;
  /** Every call has its outcome and every socket is gone when it resolves. No events after it. */
  close(): Promise<void>;
  /** Where it listens, once started. */
  address(): HostPort;
  stats(): PeerNetworkStats;
}

export function createPeerNetwork(options: PeerNetworkOptions): RunningPeerNetwork {
  return new TcpPeerNetwork(options);
}

function createContext(options: PeerNetworkOptions): PeerContext {
  const { identity, directory, logger } = options;
  const nowMs = (): number => performance.now();
  return {
    identity,
    logger,
    limits: { ...DEFAULT_PEER_LIMITS, ...options.limits },
    transport: options.transport ?? TCP_TRANSPORT,
    resolver: new Resolver(),
    gatekeeper: new Gatekeeper(identity, directory, options.seenLives ?? [], (node, life) =>
      options.onPeerLife?.(node, life),
    ),
    refusals: new Refusals(logger, nowMs),
    deadlines: new Deadlines({
      nowMs,
      setTimer: (delayMs, fire) => setTimeout(fire, delayMs),
      clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
    }),
    writer: new FrameWriter(),
    random: Math.random,
    addressOf: (node) => directory.addressOf(node),
    onRefused: (by, refusal) => options.onRefused?.(by, refusal),
  };
}

class TcpPeerNetwork implements RunningPeerNetwork {
  readonly #options: PeerNetworkOptions;
  readonly #context: PeerContext;
  readonly #acceptor: Acceptor;
  readonly #peers = new Map<NodeId, Peer>();
  readonly #listeners = new Set<(node: NodeId, up: boolean) => void>();
  #keepAlive: NodeJS.Timeout | undefined;
  #address: HostPort;
  #state: 'new' | 'open' | 'closed' = 'new';

  constructor(options: PeerNetworkOptions) {
    this.#options = options;
    this.#address = options.listen;
    this.#context = createContext(options);
    this.#acceptor = new Acceptor(
      this.#context,
      (connection, greeting): ConnectionEvents =>
        this.#peer(greeting.node).admit(connection, greeting),
    );
    this.membersChanged();
  }

  membersChanged(): void {
    if (this.#closed()) return;
    const { directory } = this.#options;
    const nodes = directory.nodes();
    for (const [node, peer] of [...this.#peers]) {
      peer.recheck(({ incarnation }) => directory.objection(node, incarnation) === undefined);
      if (nodes.includes(node)) continue;
      this.#peers.delete(node);
      peer.stop(`node ${node} is no member any more`);
    }
    for (const node of nodes) this.#peer(node);
  }

  async start(): Promise<void> {
    if (this.#state !== 'new') throw new TypeError('a peer network starts once');
    this.#state = 'open';
    this.#address = await this.#acceptor.listen(this.#options.listen);
    if (this.#closed()) return this.#acceptor.close();
    for (const peer of this.#peers.values()) peer.start();
    const elapsedMs = this.#context.limits.keepAliveIntervalMs;
    this.#keepAlive = setInterval(() => {
      for (const peer of this.#peers.values()) peer.keepAlive(elapsedMs);
    }, elapsedMs);
  }

  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    clearInterval(this.#keepAlive);
    for (const peer of this.#peers.values()) peer.stop('this node is stopping');
    this.#context.deadlines.clear();
    await this.#acceptor.close();
  }

  address(): HostPort {
    return this.#address;
  }

  send(to: NodeId, lane: 'control' | 'bulk', messages: readonly PeerMessage[]): void {
    this.#peers.get(to)?.send(lane, messages);
  }

  call(...[to, request, done]: Parameters<PeerNetwork['call']>): PeerCall {
    const peer = this.#peers.get(to);
    if (peer !== undefined) return peer.call(request, done);
    queueMicrotask(() => done({ status: 'notSent' }));
    return { cancel: () => undefined };
  }

  isUp(node: NodeId): boolean {
    return this.#peers.get(node)?.isUp ?? false;
  }

  setSilent(node: NodeId, isSilent: boolean): void {
    const peer = this.#peers.get(node);
    const wasUp = peer?.isUp;
    peer?.setSilent(isSilent);
    if (peer === undefined || peer.isUp === wasUp) return;
    if (isSilent) this.#context.logger.warn(`node ${node} is silent`);
    else this.#context.logger.info(`node ${node} is heard again`);
    this.#tell(node, peer.isUp);
  }

  peers(): readonly NodeId[] {
    return [...this.#peers.keys()];
  }

  onPeerChange(listener: (node: NodeId, up: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stats(): PeerNetworkStats {
    return {
      peers: [...this.#peers.values()].map((peer) => peer.stats()),
      refusals: { ...this.#context.refusals.counts },
      pendingHandshakes: this.#acceptor.pending,
      deadlines: this.#context.deadlines.size,
    };
  }

  #tell(node: NodeId, up: boolean): void {
    for (const listener of [...this.#listeners]) listener(node, up);
  }

  #closed(): boolean {
    return this.#state === 'closed';
  }

  #peer(node: NodeId): Peer {
    const known = this.#peers.get(node);
    if (known !== undefined) return known;
    const peer = new Peer(node, this.#context, this.#events());
    this.#peers.set(node, peer);
    if (this.#state === 'open') peer.start();
    return peer;
  }

  #events(): PeerEvents {
    const options = this.#options;
    const { logger } = this.#context;
    return {
      onMessages: (from, messages) => options.onMessages(from, messages),
      onCall: (call) => options.onCall(call),
      onUp: (node) => {
        logger.info(`node ${node} is connected`);
        options.onPeerUp(node);
        this.#tell(node, true);
      },
      onDown: (node, reason) => {
        if (this.#closed()) return;
        logger.warn(`node ${node} is disconnected: ${reason}`);
        this.#tell(node, false);
      },
      onReset: (node) => {
        if (!this.#closed()) options.onPeerReset(node);
      },
    };
  }
}
