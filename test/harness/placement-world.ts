/**
 * Nodes with a placement reconciler each, over one metadata state and fake Raft groups: every
 * change, transfer and catch-up ends when the test says so, or fails.
 */
import {
  enterJoint,
  isJoint,
  leaveJoint,
  type MembershipChange,
  membersOf,
  simple,
} from '../../raft/membership.ts';
import type { Membership, ReplicaAddress } from '../../raft/types.ts';
import type { MetaResult, ShardPlacement } from '../../src/cluster/api.ts';
import {
  type ChangeResult,
  PlacementReconciler,
  type PlacementTimings,
} from '../../src/cluster/placement-reconciler.ts';
import { Roster, type RosterCommand } from '../../src/cluster/roster.ts';
import { born } from './births.ts';
import { MemoryRows } from './state-rows.ts';

export const TIMINGS: PlacementTimings = {
  catchUpRoundMs: 500,
  balanceAfterMs: 3000,
  firstBackoffMs: 100,
  maxBackoffMs: 1000,
};

/** What may happen next; the test picks. */
export interface Happening {
  readonly name: string;
  run(): void;
}

interface Group {
  readonly shard: number;
  membership: Membership;
  leader: number;
  /** The membership is committed. */
  isSettled: boolean;
  lastIndex: number;
  readonly matched: Map<number, number>;
}

interface Watch {
  readonly group: Group;
  readonly replica: number;
  readonly index: number;
  readonly done: (matched: boolean) => void;
}

export class PlacementWorld {
  readonly rows = new MemoryRows();
  readonly roster: Roster;
  readonly groups: Group[];
  readonly nodes = new Map<number, PlacementReconciler>();
  readonly down = new Set<number>();
  readonly pending = new Set<Happening>();
  readonly watches = new Set<Watch>();
  readonly timers = new Set<{ readonly atMs: number; readonly fire: () => void }>();
  nowMs = 0;
  changes: string[] = [];
  transfers: string[] = [];
  /** Of shards whose configuration was not committed. */
  hastyReports: string[] = [];
  /** To configurations most of whose voters were out of reach. */
  hastyChanges: string[] = [];

  constructor(nodes: number, shards: number, copies = 3) {
    this.roster = new Roster(born(nodes, shards, copies));
    this.groups = this.roster.placements().map((placement) => groupOf(placement));
    for (let node = 1; node <= nodes; node++) this.join(node);
    for (const { shard } of this.groups) this.tell(shard);
  }

  join(node: number): void {
    this.nodes.set(node, new PlacementReconciler(this.#portsOf(node), TIMINGS));
    for (const other of this.nodes.values()) other.peerChanged(node, true);
  }

  /** What this node knows of the metadata is not the newest, says the metadata shard. */
  isStale = false;

  apply(command: RosterCommand): MetaResult {
    const result = this.roster.apply(command, this.rows);
    for (const node of this.nodes.values()) node.metaApplied();
    return result;
  }

  add(node: number): void {
    const addresses = { grpcAddress: '', peerAddress: '' };
    if (!this.nodes.has(node)) this.join(node);
    this.apply({ type: 'addMember', node, incarnation: `i${node}`, ...addresses });
  }

  tell(shard: number): void {
    for (const node of this.nodes.values()) node.leadershipChanged(shard);
  }

  setLeader(shard: number, node: number): void {
    this.groups[shard]!.leader = 0;
    this.tell(shard);
    this.groups[shard]!.leader = node;
    this.tell(shard);
  }

  /** The node is out of reach for all others; what it led, it leads again when it is back. */
  cut(node: number): void {
    this.down.add(node);
    for (const other of this.nodes.values()) other.peerChanged(node, false);
  }

  mend(node: number): void {
    this.down.delete(node);
    for (const { shard } of this.groups) this.tell(shard);
    for (const [id, other] of this.nodes) {
      other.peerChanged(node, true);
      if (!this.down.has(id)) this.nodes.get(node)?.peerChanged(id, true);
    }
  }

  /** Everything that is on its way happens, replicas catch up, time passes: until all is quiet. */
  settle(): void {
    for (let steps = 0; steps < 20_000; steps++) {
      if (!this.step(0)) return;
    }
    throw new Error('never comes to rest');
  }

  /** One of the things that may happen; false when there are none. */
  step(pick: number): boolean {
    const happenings = this.happenings();
    if (happenings.length === 0) return this.#passTime();
    happenings[pick % happenings.length]!.run();
    return true;
  }

  happenings(): Happening[] {
    const joint = this.groups
      .filter(({ membership, isSettled }) => isSettled && isJoint(membership.config))
      .map((group) => ({ name: `leave joint ${group.shard}`, run: () => this.#leave(group) }));
    const commits = this.groups
      .filter(({ isSettled }) => !isSettled)
      .map((group) => ({ name: `commit ${group.shard}`, run: () => this.#commit(group) }));
    const watches = [...this.watches].map((watch) => ({
      name: `caught up ${watch.group.shard}/${watch.replica}`,
      run: () => this.#caughtUp(watch),
    }));
    return [...this.pending, ...joint, ...commits, ...watches];
  }

  #passTime(): boolean {
    const next = [...this.timers].sort((left, right) => left.atMs - right.atMs)[0];
    if (next === undefined) return false;
    this.timers.delete(next);
    this.nowMs = Math.max(this.nowMs, next.atMs);
    next.fire();
    return true;
  }

  #leave(group: Group): void {
    this.#install(group, leaveJoint(group.membership.config), []);
    group.isSettled = false;
    for (const node of this.nodes.values()) node.applied(group.shard);
  }

  #commit(group: Group): void {
    group.isSettled = true;
    for (const node of this.nodes.values()) node.applied(group.shard);
  }

  #caughtUp(watch: Watch): void {
    const { group, replica } = watch;
    this.watches.delete(watch);
    group.matched.set(replica, group.lastIndex);
    watch.done(true);
  }

  #install(group: Group, config: Membership['config'], added: readonly ReplicaAddress[]): void {
    const members = membersOf(config);
    const replicas = [...group.membership.replicas, ...added].filter(
      ({ replica }, at, all) =>
        members.includes(replica) && all.findIndex((one) => one.replica === replica) === at,
    );
    group.membership = { config, replicas };
    group.lastIndex += 1;
  }

  #portsOf(node: number): ConstructorParameters<typeof PlacementReconciler>[0] {
    const leads = (shard: number) => {
      const group = this.groups[shard]!;
      return group.leader === node && !this.down.has(node) ? group : undefined;
    };
    return {
      placement: (shard) => this.roster.placement(shard),
      led: (shard) => {
        const group = leads(shard);
        if (group === undefined) return undefined;
        const self = group.membership.replicas.find((one) => one.node === node)!.replica;
        const { isSettled, lastIndex, matched, membership } = group;
        const matchOf = (replica: number) =>
          replica === self ? lastIndex : (matched.get(replica) ?? 0);
        return { self, membership, isSettled, lastIndex, matchOf };
      },
      isUp: (other) => !this.down.has(other),
      change: (shard, changes, replicas, done) => {
        const group = leads(shard);
        const result = this.#append(group, changes, replicas);
        const appended = group?.membership;
        this.#later(`change ${shard}`, () => {
          if (result === 'applied' && group?.membership === appended) this.#commit(group!);
          done(result);
        });
      },
      transfer: (shard, to, done) =>
        this.#later(`transfer ${shard} to ${to}`, () => {
          this.transfers.push(`${shard}:${to}`);
          const group = leads(shard);
          const ok = group !== undefined && hasVoter(group, to) && !this.down.has(to);
          if (ok) this.setLeader(shard, to);
          done(ok);
        }),
      whenMatched: (shard, replica, index, done) => {
        this.watches.add({ group: this.groups[shard]!, replica, index, done });
      },
      confirm: (shard, version, done) => {
        this.#later(`confirm ${shard}`, () => {
          const { type } = this.apply({ type: 'confirmVersion', shard, version });
          done(type === 'done' && !this.isStale);
        });
      },
      report: (shard, version, done) => {
        if (!this.groups[shard]!.isSettled) this.hastyReports.push(`${shard}: ${version}`);
        this.#later(`report ${shard}`, () => {
          this.apply({ type: 'placed', shard, version });
          done(true);
        });
      },
      nowMs: () => this.nowMs,
      startTimer: (delayMs, fire) => {
        const timer = { atMs: this.nowMs + delayMs, fire };
        this.timers.add(timer);
        return () => void this.timers.delete(timer);
      },
      log: () => undefined,
    };
  }

  /** As the driver does: in the log of whoever leads at this moment, or refused. */
  #append(
    group: Group | undefined,
    changes: readonly MembershipChange[],
    added: readonly ReplicaAddress[],
  ): ChangeResult {
    if (group === undefined) return 'failed';
    const { config } = group.membership;
    if (isJoint(config) || !group.isSettled) return 'busy';
    this.changes.push(`${group.shard}: ${changes.map((one) => `${one.type} ${one.node}`)}`);
    this.#install(group, changed(config, changes), added);
    group.isSettled = false;
    const { voters } = group.membership.config;
    if (String(voters) === String(config.voters)) return 'applied';
    const heard = group.membership.replicas.filter(
      ({ replica, node }) => voters.includes(replica) && !this.down.has(node),
    );
    if (heard.length <= voters.length / 2) this.hastyChanges.push(this.changes.at(-1)!);
    return 'applied';
  }

  #later(name: string, run: () => void): void {
    const happening: Happening = {
      name,
      run: () => {
        this.pending.delete(happening);
        run();
      },
    };
    this.pending.add(happening);
  }
}

/** It may have left since it was picked. */
function hasVoter({ membership: { config, replicas } }: Group, node: number): boolean {
  return replicas.some((one) => one.node === node && config.voters.includes(one.replica));
}

/** One voter at most in one step, else joint: as the driver decides it. */
function changed(
  config: Membership['config'],
  changes: readonly MembershipChange[],
): Membership['config'] {
  try {
    return simple(config, changes);
  } catch {
    return enterJoint(config, changes, { autoLeave: true });
  }
}

function groupOf(placement: ShardPlacement): Group {
  const { shard, voters, learners, leader } = placement;
  const config = {
    voters: voters.map(({ replica }) => replica),
    votersOutgoing: [],
    learners: learners.map(({ replica }) => replica),
    learnersNext: [],
  };
  const replicas = [...voters, ...learners];
  const matched = new Map(replicas.map(({ replica }) => [replica, 10]));
  const membership = { config, replicas };
  return { shard, membership, isSettled: true, leader, lastIndex: 10, matched };
}
