/**
 * Breaks things at random times, of the kinds that the swarm drew, and counts what it broke. In the
 * end it heals a majority, drawn at random, and lets go of the others for good.
 */
import type { SimCluster } from './cluster.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';
import { DOWN_MAX_MS, type Stage } from './stage.ts';
import { STRIKES } from './strikes.ts';

export class SimNemesis {
  readonly #cluster: SimCluster;
  readonly #random: Random;
  readonly #stage: Stage;
  #isStopped = false;

  constructor(cluster: SimCluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
    this.#stage = {
      cluster,
      random,
      later: (maxMs, run) => this.#later(maxMs, run),
      restartLater: (node, maxMs) => this.#restartLater(node, maxMs),
      healNetwork: () => this.#healNetwork(),
    };
    cluster.onDown = (node) => this.#restartLater(node);
  }

  start(): void {
    const { meanFaultGapMs, strikes } = this.#cluster.swarm;
    if (!Number.isFinite(meanFaultGapMs)) return;
    this.#cluster.scheduler.after(this.#random.next() * 2 * meanFaultGapMs, () => {
      if (this.#isStopped) return;
      const kind = this.#random.pick(strikes);
      this.#cluster.faults.count(kind);
      this.#cluster.trace.add(`fault ${kind}`);
      STRIKES[kind](this.#stage, this.#victim());
      this.start();
    });
  }

  /** Leaders are where it hurts. */
  #victim(): SimNode {
    const { nodes, shards } = this.#cluster;
    const leader = this.#cluster.leaderOf(this.#random.pick(shards));
    return leader !== undefined && this.#random.chance(0.5) ? leader : this.#random.pick(nodes);
  }

  #healNetwork(): void {
    const { network, nodes } = this.#cluster;
    network.heal();
    for (const node of nodes) this.#cluster.reconnect(node);
  }

  #restartLater(node: SimNode, maxMs = DOWN_MAX_MS): void {
    if (this.#isStopped) this.#cluster.scheduler.after(0, () => this.#restart(node));
    else this.#later(maxMs, () => this.#restart(node));
  }

  #restart(node: SimNode): void {
    if (!node.isRunning && !node.isGone) this.#cluster.start(node);
  }

  #later(maxMs: number, run: () => void): void {
    this.#cluster.scheduler.after(this.#random.next() * maxMs, () => {
      if (!this.#isStopped) run();
    });
  }

  /** Ends all faults: the safety phase is over, now those who live must get well. */
  heal(): void {
    this.#isStopped = true;
    const { network, nodes, swarm } = this.#cluster;
    network.faults = {
      ...network.faults,
      lossRate: 0,
      duplicateRate: 0,
      replayRate: 0,
      straggleRate: 0,
      garbleRate: 0,
      delayMaxMs: swarm.delayMaxMs,
    };
    for (const node of this.#lost()) this.#cluster.lose(node);
    for (const node of nodes) {
      if (node.isGone) continue;
      node.disk.files.heal();
      if (node.isPaused) node.resume();
      this.#restart(node);
    }
    this.#healNetwork();
  }

  /** Some of them, such that every shard can do without; or nobody. */
  #lost(): readonly SimNode[] {
    const { nodes, swarm } = this.#cluster;
    const count = swarm.losesMinority ? this.#random.between(0, (nodes.length - 1) >> 1) : 0;
    const first = this.#random.between(0, nodes.length - 1);
    const drawn = Array.from({ length: count }, (_, at) => nodes[(first + at) % nodes.length]!);
    return this.#cluster.canLose(drawn) ? drawn : [];
  }
}
