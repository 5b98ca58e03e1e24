/** Proposers and readers: they ask any node, and remember what they were told. */
import type { ProposalLevel } from '../../raft/driver.ts';
import type { ShardId } from '../../raft/types.ts';
import type { SimCluster } from './cluster.ts';
import { commandOf } from './payload.ts';
import type { Random } from './random.ts';

const LEVELS: readonly ProposalLevel[] = ['majorityFsync', 'majorityFsync', 'majority', 'leader'];
const PAYLOAD_MAX_BYTES = 300;
/** Proposals that arrive in one turn and must share one flush. */
const BURST_MAX = 8;

export class SimClients {
  readonly #cluster: SimCluster;
  readonly #random: Random;
  #nextId = 1;
  #isStopped = false;
  proposals = 0;

  constructor(cluster: SimCluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
  }

  start(): void {
    const { proposalsPerSecond, readsPerSecond } = this.#cluster.swarm;
    this.#repeat(proposalsPerSecond, () => this.#burst());
    this.#repeat(readsPerSecond, () => this.read(this.#anyShard()));
  }

  stop(): void {
    this.#isStopped = true;
  }

  #repeat(perSecond: number, act: () => void): void {
    if (perSecond === 0) return;
    const delayMs = (this.#random.next() * 2000) / perSecond;
    this.#cluster.scheduler.after(delayMs, () => {
      if (this.#isStopped) return;
      act();
      this.#repeat(perSecond, act);
    });
  }

  #anyShard(): ShardId {
    return this.#random.pick(this.#cluster.shards);
  }

  #burst(): void {
    const count = this.#random.chance(0.2) ? this.#random.between(2, BURST_MAX) : 1;
    const shard = this.#anyShard();
    for (let left = count; left > 0; left--) this.propose(shard);
  }

  /** Mostly whoever leads, sometimes somebody who does not or no longer does. */
  #target(shard: ShardId) {
    const { nodes } = this.#cluster;
    const leaders = nodes.filter(({ driver }) => driver?.status(shard).role === 'leader');
    const isLost = leaders.length === 0 || this.#random.chance(0.05);
    return this.#random.pick(isLost ? nodes : leaders);
  }

  propose(shard: ShardId, onDone: () => void = () => {}): void {
    const { answers } = this.#cluster;
    const target = this.#target(shard);
    if (target.driver === undefined) return;
    const text = `command-${this.#nextId++}`;
    this.proposals++;
    const command = commandOf(text, this.#random.between(0, PAYLOAD_MAX_BYTES));
    const level = this.#random.pick(LEVELS);
    let isDone = false;
    target.request((driver) =>
      driver.propose(shard, command, level, (outcome) => {
        if (isDone) throw new Error('a proposal was answered twice');
        isDone = true;
        answers.proposed(shard, text, outcome);
        onDone();
      }),
    );
  }

  read(shard: ShardId): void {
    const { answers } = this.#cluster;
    const target = this.#target(shard);
    const ackedBefore = answers.highestAck(shard);
    target.request((driver) =>
      driver.readIndex(shard, (outcome) => {
        answers.read(shard, ackedBefore, target.machine.appliedIndex(shard), outcome);
      }),
    );
  }
}
