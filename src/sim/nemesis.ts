/** Breaks things at random times, and counts what it broke. */
import type { SimCluster } from './cluster.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';

const PAUSE_MAX_MS = 4000;
const DOWN_MAX_MS = 3000;
const CUT_MAX_MS = 5000;
const COUP_MS = 4000;
/** A new leader of a coup is cut off after at most this: often before it commits anything. */
const COUP_DELAY_MAX_MS = 150;
const CLOCK_JUMP_MAX_MS = 3_600_000;

export type FaultKind =
  | 'kill'
  | 'power'
  | 'powerAll'
  | 'isolate'
  | 'oneWay'
  | 'coup'
  | 'reset'
  | 'pause'
  | 'clock'
  | 'persist';

const KINDS: readonly FaultKind[] = [
  'kill',
  'kill',
  'power',
  'power',
  'powerAll',
  'isolate',
  'isolate',
  'oneWay',
  'coup',
  'coup',
  'reset',
  'pause',
  'clock',
  'persist',
  'persist',
  'persist',
];

export class SimNemesis {
  readonly #cluster: SimCluster;
  readonly #random: Random;
  #isStopped = false;

  constructor(cluster: SimCluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
    cluster.onDown = (node) => this.#restartLater(node);
  }

  start(): void {
    const { meanFaultGapMs } = this.#cluster.swarm;
    if (!Number.isFinite(meanFaultGapMs)) return;
    this.#cluster.scheduler.after(this.#random.next() * 2 * meanFaultGapMs, () => {
      if (this.#isStopped) return;
      this.#strike(this.#random.pick(KINDS));
      this.start();
    });
  }

  #strike(kind: FaultKind): void {
    this.#cluster.faults.count(kind);
    const { nodes } = this.#cluster;
    const victim = this.#victim();
    switch (kind) {
      case 'kill':
      case 'power':
        this.#crash(victim, kind === 'power');
        break;
      case 'powerAll':
        for (const node of nodes) this.#crash(node, true);
        break;
      case 'isolate':
      case 'oneWay':
        this.#cut(victim, kind === 'oneWay');
        break;
      case 'coup':
        this.#coup(this.#cluster.scheduler.nowMs + COUP_MS);
        break;
      case 'reset':
        this.#reset(victim);
        break;
      case 'pause':
        this.#pause(victim);
        break;
      case 'clock':
        victim.wallOffsetMs = this.#random.between(-CLOCK_JUMP_MAX_MS, CLOCK_JUMP_MAX_MS);
        break;
      case 'persist':
        this.#persist(victim);
        break;
      default: {
        const unknown: never = kind;
        throw new Error(`unknown fault ${String(unknown)}`);
      }
    }
  }

  /** Leaders are where it hurts. */
  #victim(): SimNode {
    const { nodes, shards } = this.#cluster;
    const leader = this.#cluster.leaderOf(this.#random.pick(shards));
    return leader !== undefined && this.#random.chance(0.5) ? leader : this.#random.pick(nodes);
  }

  /**
   * Leader after leader is cut off soon after its election while clients still talk to it, and
   * comes back when the next one goes: logs with rival suffixes of many terms (paper, figures 7 and
   * 8).
   */
  #coup(untilMs: number): void {
    const { scheduler, network, nodes, shards } = this.#cluster;
    this.#later(COUP_DELAY_MAX_MS, () => {
      const shard = this.#random.pick(shards);
      const leader = nodes.find(
        ({ id, driver }) =>
          driver?.status(shard).role === 'leader' && !network.isCut(id, (id % nodes.length) + 1),
      );
      if (leader !== undefined) {
        network.heal();
        for (const node of nodes) this.#cluster.reconnect(node);
        this.#isolate(leader);
        this.#cluster.resetConnections(leader);
      }
      if (scheduler.nowMs < untilMs) this.#coup(untilMs);
      else this.#heal();
    });
  }

  #heal(): void {
    const { network, nodes } = this.#cluster;
    network.heal();
    for (const node of nodes) this.#cluster.reconnect(node);
  }

  #isolate(node: SimNode): void {
    for (const peer of this.#cluster.nodes) {
      if (peer === node) continue;
      this.#cluster.network.cut(node.id, peer.id);
      this.#cluster.network.cut(peer.id, node.id);
    }
  }

  #crash(node: SimNode, power: boolean): void {
    if (!node.isRunning) return;
    this.#cluster.crash(node, power);
    this.#restartLater(node);
  }

  #restartLater(node: SimNode): void {
    if (this.#isStopped) {
      this.#cluster.start(node);
      return;
    }
    this.#later(DOWN_MAX_MS, () => {
      if (!node.isRunning) this.#cluster.start(node);
    });
  }

  #cut(node: SimNode, oneWay: boolean): void {
    const { network, nodes } = this.#cluster;
    const isOutgoing = this.#random.chance(0.5);
    for (const peer of nodes) {
      if (peer === node) continue;
      if (!oneWay || isOutgoing) network.cut(node.id, peer.id);
      if (!oneWay || !isOutgoing) network.cut(peer.id, node.id);
    }
    // A cut that breaks connections is noticed at once; a silent one only by timeouts.
    if (this.#random.chance(0.5)) this.#cluster.resetConnections(node);
    this.#later(CUT_MAX_MS, () => this.#heal());
  }

  #reset(node: SimNode): void {
    if (!node.isUp) return;
    this.#cluster.resetConnections(node);
    this.#later(200, () => this.#cluster.reconnect(node));
  }

  #pause(node: SimNode): void {
    if (!node.isRunning) return;
    node.pause();
    this.#later(PAUSE_MAX_MS, () => node.resume());
  }

  /** Derived state reaches the disk; with retention, logs are cut where everybody has it. */
  #persist(victim: SimNode): void {
    const { shards, nodes, swarm } = this.#cluster;
    for (const shard of shards) {
      victim.persist(shard);
      if (!swarm.retention) continue;
      const index = Math.min(...nodes.map(({ machine }) => machine.persistedIndex(shard)));
      for (const node of nodes) this.#trim(node, shard, index);
    }
  }

  #trim(node: SimNode, shard: number, index: number): void {
    const term = this.#cluster.committed.of(shard)[index - 1]?.term;
    const start = node.disk.written.get(shard)!.base;
    if (term === undefined || index <= start || node.driver === undefined || node.isPaused) return;
    if (node.driver.status(shard).applied < index) return;
    node.driver.setLogStart(shard, { index, term });
  }

  #later(maxMs: number, run: () => void): void {
    this.#cluster.scheduler.after(this.#random.next() * maxMs, () => {
      if (!this.#isStopped) run();
    });
  }

  /** Ends all faults: the safety phase is over, now it must get well. */
  heal(): void {
    this.#isStopped = true;
    const { network, nodes } = this.#cluster;
    network.faults = { ...network.faults, lossRate: 0, duplicateRate: 0, straggleRate: 0 };
    for (const node of nodes) {
      if (node.isPaused) node.resume();
      if (!node.isRunning) this.#cluster.start(node);
    }
    this.#heal();
  }
}
