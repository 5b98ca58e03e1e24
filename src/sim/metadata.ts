/**
 * The metadata shard of a simulated cluster: where its commands come from and what it holds. Its
 * replicas run the state machine of production, its decisions are brought about by the reconcilers
 * of production (housekeeping.ts).
 */
import type { ProposalOutcome } from '../../raft/driver.ts';
import type { Entry, Membership, NodeId } from '../../raft/types.ts';
import type { MetaCommand, MetaView, ShardPlacement } from '../cluster/api.ts';
import { type Birth, META_SHARD } from '../cluster/birth-placement.ts';
import { encodeMetaCommand } from '../cluster/meta-codec.ts';
import { createMetaState, type MetaState } from '../cluster/meta-state.ts';
import type { SimCluster } from './cluster.ts';
import { Effects } from './effects.ts';
import type { SimNode } from './node.ts';
import type { Random } from './random.ts';
import { bodyWith } from './workload/values.ts';

export type MetaDone = (error: unknown, result: unknown) => void;

const ANSWER_WITHIN_MS = 5000;

export class Metadata {
  readonly #cluster: SimCluster;
  readonly #random: Random;
  /** Of all committed entries, whoever has applied them. */
  readonly #state: MetaState;
  #calls = 0;
  /** Proposed removals of healthy machines that may still be committed. */
  #shrinking = 0;

  constructor(cluster: SimCluster, random: Random, birth: Birth) {
    this.#cluster = cluster;
    this.#random = random;
    this.#state = createMetaState(birth);
  }

  get view(): MetaView {
    return this.#state;
  }

  /** Every entry once, in order. */
  committed(entry: Entry): void {
    const { version } = totals(this.#state);
    this.#state.apply(entry, new Effects());
    const { coverage } = this.#cluster.judge;
    const after = totals(this.#state);
    if (after.version > version) coverage.reach('replicas placed anew');
    if (after.isPlaced && after.version > 0) coverage.reach('placement brought about');
  }

  /** Configurations that leaders may still propose. */
  wanted(): readonly Membership[] {
    return this.#state.placements().map(membershipOf);
  }

  /** Every member is there, and so is everything that was decided. */
  get isSettled(): boolean {
    return !this.hasAllWhole || totals(this.#state).isPlaced;
  }

  /** The directory of every member is there. */
  get hasAllWhole(): boolean {
    return this.#state.members().every((member) => this.#cluster.isWhole(member));
  }

  get hasAllSound(): boolean {
    return this.#state.members().every((member) => this.#cluster.isSound(member));
  }

  /**
   * Planners trust whoever answers, and may put a shard wherever a bit has turned over unseen: only
   * one member may be such a one, and only while nobody else is missing.
   */
  mayHit({ id }: SimNode): boolean {
    const members = this.#state.members();
    const isMember = members.some((one) => one.node === id && this.#cluster.isWhole(one));
    return isMember && members.every((one) => one.node === id || this.#cluster.isSound(one));
  }

  mayLose(lost: ReadonlySet<NodeId>): boolean {
    if (this.isShrinking) return false;
    return this.#state.members().every((one) => {
      return lost.has(one.node) || this.#cluster.isSound(one) || !this.#cluster.isWhole(one);
    });
  }

  /**
   * A healthy machine may be on its way out: who loses another one meanwhile may lose the last
   * quorum of what is planned for then, and that is no fault of the cluster.
   */
  get isShrinking(): boolean {
    return this.#shrinking > 0;
  }

  /** As the service forwards it to the leader that the node knows; lost on either way. */
  call(from: SimNode, command: MetaCommand, done: MetaDone): void {
    let outcome: readonly [unknown, unknown] | undefined;
    const settle = from.alive(() => done(...outcome!));
    const answer: MetaDone = (error, result) => {
      if (outcome !== undefined) return;
      outcome = [error, result];
      settle();
    };
    this.#cluster.scheduler.after(ANSWER_WITHIN_MS, () => answer('no answer', undefined));
    const leader = from.driver?.leaderOf(META_SHARD);
    if (leader === undefined) this.#hop(from.id, from.id, () => answer('no leader', undefined));
    else this.#hop(from.id, leader, () => this.#propose(leader, from.id, command, answer));
  }

  #propose(at: NodeId, from: NodeId, command: MetaCommand, answer: MetaDone): void {
    const tag = `m${++this.#calls}`;
    const body = bodyWith(encodeMetaCommand(command), { tag, batch: '' });
    this.#cluster.trace.note(() => `metadata ${tag} ${JSON.stringify(command)} n${at}`);
    const shrinks = this.#takesHealthy(command);
    this.#cluster.node(at).request((driver) => {
      if (shrinks && !this.hasAllSound) return;
      if (shrinks) this.#shrinking++;
      driver.propose(META_SHARD, body, 'majorityFsync', (outcome) => {
        this.#judge(tag, outcome);
        if (shrinks && outcome.status !== 'unknown') this.#shrinking--;
        const isApplied = outcome.status === 'applied';
        const result = isApplied ? outcome.result : undefined;
        this.#hop(at, from, () => answer(isApplied ? undefined : outcome.status, result));
      });
    });
  }

  #takesHealthy(command: MetaCommand): boolean {
    if (command.type !== 'removeMember') return false;
    const member = this.#state.member(command.node);
    return member !== undefined && this.#cluster.isSound(member);
  }

  #judge(tag: string, outcome: ProposalOutcome): void {
    const { judge } = this.#cluster;
    const { status } = outcome;
    if (status === 'applied') {
      const acked = { shard: META_SHARD, index: outcome.index, tag };
      judge.acks.acked(acked, judge.committed.of(META_SHARD));
    } else if (status !== 'unknown' && status !== 'written') judge.acks.refused(tag);
  }

  #hop(from: NodeId, to: NodeId, run: () => void): void {
    const { network, scheduler } = this.#cluster;
    const { lossRate, delayMaxMs } = network.faults;
    const isLost = from !== to && (network.isCut(from, to) || this.#random.chance(lossRate));
    if (!isLost) scheduler.after(from === to ? 0 : this.#random.next() * delayMaxMs, run);
  }
}

function totals(state: MetaState): { readonly version: number; readonly isPlaced: boolean } {
  const placements = state.placements();
  const isLeaving = state.members().some((member) => member.state === 'leaving');
  return {
    version: placements.reduce((sum, { version }) => sum + version, 0),
    isPlaced: !isLeaving && placements.every((one) => one.placedVersion === one.version),
  };
}

/** The configuration that the placement asks for. */
export function membershipOf({ voters, learners }: ShardPlacement): Membership {
  const idsOf = (list: ShardPlacement['voters']) => list.map(({ replica }) => replica);
  const config = {
    voters: idsOf(voters),
    votersOutgoing: [],
    learners: idsOf(learners),
    learnersNext: [],
  };
  return { config, replicas: [...voters, ...learners].sort((a, b) => a.replica - b.replica) };
}
