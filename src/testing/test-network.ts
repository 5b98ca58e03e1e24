/**
 * The connections between the nodes of a test cluster. Nothing is lost or late unless a link is cut
 * or a node is gone; then both ends notice at once, as when a connection is reset.
 */
import type { PeerMessage } from '../../raft/messages.ts';
import type { NodeId } from '../../raft/types.ts';
import type { IncomingCall, PeerCall, PeerCallOutcome, PeerRequest } from '../peers/api.ts';
import { Listeners } from '../shards/listeners.ts';
import { SimNetwork } from '../sim/network.ts';
import type { Random } from '../sim/random.ts';
import type { Scheduler } from '../sim/scheduler.ts';

const NO_FAULTS = {
  lossRate: 0,
  duplicateRate: 0,
  replayRate: 0,
  delayMaxMs: 0,
  straggleRate: 0,
  garbleRate: 0,
};

/** What a node does with what it hears. */
export interface Ears {
  onMessages(from: NodeId, messages: readonly PeerMessage[]): void;
  onCall(call: IncomingCall): void;
  onPeerUp(node: NodeId): void;
  onPeerReset(node: NodeId): void;
}

/** A call that has no outcome yet. */
interface Pending {
  readonly from: NodeId;
  readonly to: NodeId;
  finish(outcome: PeerCallOutcome): void;
}

export class TestNetwork {
  readonly #scheduler: Scheduler;
  readonly #messages: SimNetwork;
  readonly #connected = new Map<NodeId, TestPeers>();
  readonly #pending = new Set<Pending>();

  constructor(scheduler: Scheduler, random: Random) {
    this.#scheduler = scheduler;
    const host = {
      scheduler,
      random,
      deliver: (from: NodeId, to: NodeId, messages: readonly PeerMessage[]) =>
        this.#connected.get(to)?.ears.onMessages(from, messages),
      onBroken: () => {},
      onFault: () => {},
    };
    this.#messages = new SimNetwork(host, NO_FAULTS, undefined);
  }

  /** The ends of one node's connections, for one life of its process. */
  peersOf(node: NodeId, others: readonly NodeId[], ears: Ears): TestPeers {
    return new TestPeers(this, node, others, ears);
  }

  connect(peers: TestPeers): void {
    this.#connected.set(peers.node, peers);
    for (const other of this.#connected.keys()) this.#connectPair(peers.node, other);
  }

  /** The process is gone, and its connections with it. */
  disconnect(node: NodeId): void {
    const pairs = this.#pairs().filter(([from, to]) => from === node || to === node);
    this.#connected.delete(node);
    this.#reset(pairs);
  }

  /** Only nodes of one group see each other; those that are in none are one, too. */
  partition(groups: readonly (readonly NodeId[])[], nodes: readonly NodeId[]): void {
    this.heal();
    const pairs = this.#pairs();
    const groupOf = (node: NodeId) => groups.findIndex((group) => group.includes(node));
    for (const from of nodes) {
      for (const to of nodes) if (groupOf(from) !== groupOf(to)) this.#cut(from, to);
    }
    this.#reset(pairs.filter(([from, to]) => !this.areConnected(from, to)));
  }

  heal(): void {
    const before = new Set(this.#pairs().map(String));
    this.#messages.heal();
    for (const pair of this.#pairs()) {
      if (!before.has(String(pair))) this.#connectPair(...pair);
    }
  }

  areConnected(from: NodeId, to: NodeId): boolean {
    const areThere = this.#connected.has(from) && this.#connected.has(to);
    return areThere && !this.#messages.isCut(from, to);
  }

  send(from: NodeId, to: NodeId, messages: readonly PeerMessage[]): void {
    this.#messages.send(from, to, messages);
  }

  call(
    from: NodeId,
    to: NodeId,
    request: PeerRequest,
    done: (outcome: PeerCallOutcome) => void,
  ): PeerCall {
    let onCancel: (() => void) | undefined;
    let isCancelled = false;
    const finish = (outcome: PeerCallOutcome): void => {
      if (this.#pending.delete(pending)) done(outcome);
    };
    const pending: Pending = { from, to, finish };
    this.#pending.add(pending);
    const incoming: IncomingCall = {
      from,
      request,
      onCancel(listener) {
        onCancel = listener;
        if (isCancelled) listener();
      },
      answer: (answer) => this.#scheduler.after(0, () => finish(answer)),
    };
    this.#scheduler.after(0, () => {
      if (isCancelled || !this.areConnected(from, to)) finish({ status: 'notSent' });
      else this.#connected.get(to)!.ears.onCall(incoming);
    });
    return {
      cancel: () => {
        isCancelled = true;
        onCancel?.();
        this.#scheduler.after(0, () => finish({ status: 'lost' }));
      },
    };
  }

  #connectPair(from: NodeId, to: NodeId): void {
    if (from === to || !this.areConnected(from, to)) return;
    this.#connected.get(from)!.changed(to, true);
    this.#connected.get(to)!.changed(from, true);
  }

  #cut(from: NodeId, to: NodeId): void {
    this.#messages.cut(from, to);
    this.#messages.cut(to, from);
  }

  /** Of connected nodes, each pair once. */
  #pairs(): (readonly [NodeId, NodeId])[] {
    const nodes = [...this.#connected.keys()].sort((left, right) => left - right);
    return nodes.flatMap((from) =>
      nodes.flatMap((to) =>
        from < to && this.areConnected(from, to) ? [[from, to] as const] : [],
      ),
    );
  }

  #reset(pairs: readonly (readonly [NodeId, NodeId])[]): void {
    for (const [from, to] of pairs) {
      for (const pending of [...this.#pending]) {
        const isOnIt = [from, to].includes(pending.from) && [from, to].includes(pending.to);
        if (isOnIt) this.#scheduler.after(0, () => pending.finish({ status: 'lost' }));
      }
      this.#connected.get(from)?.changed(to, false);
      this.#connected.get(to)?.changed(from, false);
    }
  }
}

export class TestPeers {
  readonly node: NodeId;
  readonly ears: Ears;
  readonly #network: TestNetwork;
  readonly #others: readonly NodeId[];
  readonly #silent = new Set<NodeId>();
  readonly #listeners = new Listeners<[NodeId, boolean]>();

  constructor(network: TestNetwork, node: NodeId, others: readonly NodeId[], ears: Ears) {
    this.#network = network;
    this.node = node;
    this.#others = others;
    this.ears = ears;
  }

  send(to: NodeId, _lane: 'control' | 'bulk', messages: readonly PeerMessage[]): void {
    this.#network.send(this.node, to, messages);
  }

  call(to: NodeId, request: PeerRequest, done: (outcome: PeerCallOutcome) => void): PeerCall {
    return this.#network.call(this.node, to, request, done);
  }

  isUp(node: NodeId): boolean {
    return !this.#silent.has(node) && this.#network.areConnected(this.node, node);
  }

  peers(): readonly NodeId[] {
    return this.#others;
  }

  onPeerChange(listener: (node: NodeId, isUp: boolean) => void): () => void {
    return this.#listeners.add(listener);
  }

  /** The nodes of a test cluster are the same for ever. */
  membersChanged(): void {}

  setSilent(node: NodeId, isSilent: boolean): void {
    const wasUp = this.isUp(node);
    if (isSilent) this.#silent.add(node);
    else this.#silent.delete(node);
    if (this.isUp(node) !== wasUp) this.#listeners.call(node, !wasUp);
  }

  changed(node: NodeId, isUp: boolean): void {
    if (isUp) this.ears.onPeerUp(node);
    else this.ears.onPeerReset(node);
    this.#listeners.call(node, isUp);
  }
}
