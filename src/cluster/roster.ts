/**
 * Members and placement as one part of the metadata's state machine: commands that change who
 * belongs to the cluster re-plan what lives where. Only what shall be is decided here; each shard's
 * leader brings it about and reports `placed`.
 *
 *   removeMember ──► leaving: data shards move away ──► metadata moves away ──► removed
 */
import type { NodeId, ReplicaId, ShardId } from '../../raft/types.ts';
import { KeyKind } from '../../storage/keys.ts';
import type { StateWriter } from '../broker/state-port.ts';
import type { MemberView, MetaCommand, MetaResult, ShardPlacement } from './api.ts';
import { type Birth, META_SHARD } from './birth-placement.ts';
import { planLeaders } from './leader-plan.ts';
import { MEMBER_KEY_PREFIX, Members } from './members.ts';
import type { JsonRecord } from './meta-codec.ts';
import { planMeta, planReplicas } from './replica-plan.ts';
import { PLACEMENT_KEY_PREFIX, ShardPlacements } from './shard-placements.ts';

type CommandOf<Type extends MetaCommand['type']> = Extract<MetaCommand, { type: Type }>;
export type RosterCommand = CommandOf<
  | 'registerNode'
  | 'reportDisk'
  | 'addMember'
  | 'removeMember'
  | 'rebalance'
  | 'setLeader'
  | 'replaceReplica'
  | 'confirmVersion'
  | 'placed'
>;
type RefusalReason = Extract<MetaResult, { type: 'refused' }>['reason'];

/** Far more than was ever tried; every plan walks over all of them. */
export const MEMBERS_MAX = 64;

const DONE: MetaResult = Object.freeze({ type: 'done' });
const STALE: MetaResult = Object.freeze({ type: 'stale' });

export class Roster {
  readonly #birth: Birth;
  readonly #members = new Members();
  readonly #placements = new ShardPlacements();

  constructor(birth: Birth) {
    this.#birth = birth;
    this.reset();
  }

  reset(): void {
    this.#members.reset(this.#birth);
    this.#placements.reset(this.#birth);
  }

  /** False when the row is of another part of the metadata. */
  loadRow(name: string, fields: JsonRecord): boolean {
    if (name.startsWith(MEMBER_KEY_PREFIX)) this.#members.loadRow(fields);
    else if (name.startsWith(PLACEMENT_KEY_PREFIX)) this.#placements.loadRow(fields);
    else return false;
    return true;
  }

  members(): readonly MemberView[] {
    return this.#members.all();
  }

  member(node: NodeId): MemberView | undefined {
    return this.#members.get(node);
  }

  isKnownNode(node: NodeId): boolean {
    return this.#members.isKnown(node);
  }

  wasRemoved(node: NodeId, incarnation: string): boolean {
    return this.#members.wasRemoved(node, incarnation);
  }

  placements(): readonly ShardPlacement[] {
    return this.#placements.all();
  }

  placement(shard: ShardId): ShardPlacement | undefined {
    return this.#placements.get(shard);
  }

  isRetired(shard: ShardId, replica: ReplicaId): boolean {
    return this.#placements.isRetired(shard, replica);
  }

  apply(command: RosterCommand, out: StateWriter): MetaResult {
    switch (command.type) {
      case 'registerNode':
        return this.#register(command, out);
      case 'reportDisk':
        return this.#reportDisk(command, out);
      case 'addMember':
        return this.#add(command, out);
      case 'removeMember':
        return this.#remove(command.node, out);
      case 'rebalance':
        this.#plan(out);
        return DONE;
      case 'setLeader':
        return this.#setLeader(command, out);
      case 'replaceReplica':
        return this.#replace(command, out);
      case 'confirmVersion':
        return this.#placements.get(command.shard)?.version === command.version ? DONE : STALE;
      case 'placed':
        if (!this.#placements.placed(command.shard, command.version, out)) return STALE;
        this.#settleLeaving(out);
        return DONE;
    }
  }

  #register(command: CommandOf<'registerNode'>, out: StateWriter): MetaResult {
    const { node, incarnation, grpcAddress, peerAddress } = command;
    const member = this.#members.get(node);
    if (member?.incarnation !== incarnation) return DONE;
    if (member.grpcAddress === grpcAddress && member.peerAddress === peerAddress) return DONE;
    this.#members.put({ ...member, grpcAddress, peerAddress }, out);
    return DONE;
  }

  #reportDisk({ node, incarnation, level }: CommandOf<'reportDisk'>, out: StateWriter): MetaResult {
    const member = this.#members.get(node);
    if (member?.incarnation !== incarnation || (member.disk ?? 'low') === level) return DONE;
    this.#members.put({ ...member, disk: level }, out);
    return DONE;
  }

  /** Repeated for the same directory: the same answer. */
  #add(command: CommandOf<'addMember'>, out: StateWriter): MetaResult {
    const { type: _, ...addresses } = command;
    const { node, incarnation } = command;
    const known = this.#members.get(node);
    if (known?.state === 'leaving') {
      return refuse('MEMBER_LEAVING', `node ${node} is being removed: wait until that is done`);
    }
    if (known?.incarnation === incarnation) return DONE;
    if (known !== undefined) {
      return refuse(
        'MEMBER_EXISTS',
        `node ${node} is a member already, with another data directory; if that one is lost: ` +
          `holdfast cluster remove ${node}, then holdfast cluster add`,
      );
    }
    if (this.#members.wasRemoved(node, incarnation)) {
      return refuse(
        'MEMBER_REMOVED',
        `this directory of node ${node} was removed for good: add it with an empty directory`,
      );
    }
    if (this.#members.all().length >= MEMBERS_MAX) {
      return refuse('TOO_MANY_MEMBERS', `the cluster has ${MEMBERS_MAX} nodes, the most it may`);
    }
    this.#members.put({ ...addresses, state: 'member' }, out);
    this.#plan(out);
    return DONE;
  }

  /** Repeated, also after the end: the same answer. */
  #remove(node: NodeId, out: StateWriter): MetaResult {
    const member = this.#members.get(node);
    if (member === undefined) {
      if (this.#members.isKnown(node)) return DONE;
      return refuse('MEMBER_NOT_FOUND', `there is no node ${node}`);
    }
    if (member.state === 'leaving') return DONE;
    if (this.#members.staying().length === 1) {
      return refuse('LAST_MEMBER', `node ${node} is the last one: nothing could hold the data`);
    }
    this.#members.put({ ...member, state: 'leaving' }, out);
    this.#plan(out);
    this.#settleLeaving(out);
    return DONE;
  }

  #setLeader({ shard, node }: CommandOf<'setLeader'>, out: StateWriter): MetaResult {
    const placement = this.#placements.get(shard);
    if (placement === undefined) return noShard(shard);
    if (!placement.voters.some((one) => one.node === node)) {
      const nodes = placement.voters.map((one) => one.node).join(', ');
      return refuse('NOT_A_VOTER', `shard ${shard} can be led by nodes ${nodes}, not by ${node}`);
    }
    this.#placements.setLeader(shard, node, out);
    return DONE;
  }

  #replace({ shard, replica }: CommandOf<'replaceReplica'>, out: StateWriter): MetaResult {
    if (this.#placements.get(shard) === undefined) return noShard(shard);
    // Repeated: that replica is on its way out already.
    this.#placements.replace(shard, replica, out);
    return DONE;
  }

  #plan(out: StateWriter): void {
    const nodes = this.#members.staying();
    const held = new Map<ShardId, NodeId[]>();
    const present = new Map<ShardId, NodeId>();
    for (const { shard, voters, leader } of this.#placements.all()) {
      if (shard === META_SHARD) continue;
      held.set(
        shard,
        voters.map(({ node }) => node),
      );
      present.set(shard, leader);
    }
    const { replicationFactor } = this.#birth;
    const replicas = planReplicas({ nodes, replicationFactor, held });
    const leaders = planLeaders(replicas, present);
    for (const [shard, voters] of replicas) {
      this.#want(shard, { voters, learners: [] }, out);
      this.#placements.setLeader(shard, leaders.get(shard)!, out);
    }
    this.#planMeta(out);
  }

  /** A node that leaves keeps its metadata until it holds nothing else. */
  #planMeta(out: StateWriter): void {
    const nodes = this.#members
      .all()
      .filter(({ node, state }) => state === 'member' || this.#placements.holdsAny(node, 'data'))
      .map(({ node }) => node);
    const { voters, leader } = this.#placements.get(META_SHARD)!;
    const present = voters.map(({ node }) => node);
    const plan = planMeta(nodes, present);
    this.#want(META_SHARD, plan, out);
    const staying = plan.voters.filter((node) => this.#members.get(node)?.state === 'member');
    const next = staying.includes(leader) ? leader : (staying[0] ?? plan.voters[0]!);
    this.#placements.setLeader(META_SHARD, next, out);
  }

  #settleLeaving(out: StateWriter): void {
    const leaving = this.#members.all().filter(({ state }) => state === 'leaving');
    if (leaving.length === 0) return;
    this.#planMeta(out);
    for (const member of leaving) {
      if (!this.#placements.holdsAny(member.node, 'all')) this.#members.remove(member, out);
    }
  }

  #want(
    shard: ShardId,
    wanted: { readonly voters: readonly NodeId[]; readonly learners: readonly NodeId[] },
    out: StateWriter,
  ): void {
    const incarnationOf = (node: NodeId) => this.#members.get(node)!.incarnation;
    this.#placements.want(shard, wanted, incarnationOf, out);
  }
}

/** A row of the metadata that speaks of this cluster's own nodes and replicas. */
export function isOfNodes(kind: number, key: Uint8Array): boolean {
  const name = Buffer.from(key).toString('utf8');
  const isOwn = name.startsWith(MEMBER_KEY_PREFIX) || name.startsWith(PLACEMENT_KEY_PREFIX);
  return kind === KeyKind.meta && isOwn;
}

function noShard(shard: ShardId): MetaResult {
  return refuse('SHARD_NOT_FOUND', `there is no shard ${shard}`);
}

function refuse(reason: RefusalReason, detail: string): MetaResult {
  return { type: 'refused', reason, detail };
}
