/**
 * One random history of whole nodes (raft-world.ts): proposals, cuts, losses, crashes, slow disks,
 * damaged entries, checkpoints, changes of the membership and transfers; then everything heals, and
 * the shard must serve again. Nothing acknowledged may be lost, and no two nodes may lead in one
 * term.
 */
import type { MembershipChange } from '../../raft/membership.ts';
import { EMPTY_BYTES, type EntryId, type ReplicaAddress } from '../../raft/types.ts';
import { membershipOf, SHARD } from './raft-cluster.ts';
import { World, type WorldNode } from './raft-world.ts';

const NODES = 6;
const STEPS = 120;
const HEAL_MS = 20_000;
const CONFIG = { snapshotChunkBytes: 200, maxInflightSnapshotChunks: 3, maxAppendBytes: 300 };

/** A small generator of random numbers with a good spread (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class History {
  readonly acknowledged: string[] = [];
  snapshots = 0;
  changes = 0;
  damages = 0;
  readonly #random: () => number;
  readonly #world: World;
  readonly #cut = new Set<string>();
  readonly #leaders = new Map<number, number>();
  /** The highest replica id that a node ever held. */
  readonly #highest = new Map<number, number>();
  #lossShare = 0;
  #delayShare: number;
  #delayed: (() => void)[] = [];
  #proposals = 0;
  #nextReplica: number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    const members = Array.from({ length: 1 + this.#pick(3) }, (_, at) => at + 1);
    for (const id of members) this.#highest.set(id, id);
    this.#nextReplica = members.length + 1;
    const maxTailBytes = this.#pick(2) === 0 ? 1 : 4096;
    this.#world = new World(NODES, membershipOf(members), { ...CONFIG, maxTailBytes });
    this.#delayShare = this.#random() * 0.2;
    this.#world.passes = (from, to, message) => {
      if (this.#cut.has(`${from}>${to}`) || this.#random() < this.#lossShare) return false;
      if (this.#random() >= this.#delayShare) return true;
      this.#delayed.push(() => this.#world.node(to).driver.receive(from, [message]));
      // Every second one comes twice.
      return this.#pick(2) === 0;
    };
  }

  /** Throws when a promise is broken. */
  run(): void {
    const actions = this.#actions();
    for (let step = 0; step < STEPS; step++) {
      actions[this.#pick(actions.length)]!();
      this.#world.run(this.#pick(3) === 0 ? 0 : 10 * this.#pick(40));
      if (this.#pick(2) === 0) this.#deliverDelayed();
      this.#createInvited();
      this.#check();
    }
    this.#heal();
  }

  /** As often in the list as it is wanted. */
  #actions(): (() => void)[] {
    const propose = () => this.#propose();
    const compact = () => this.#compact(this.#node());
    const change = () => this.#changeMembers();
    return [
      ...Array<() => void>(12).fill(propose),
      ...Array<() => void>(4).fill(compact),
      ...Array<() => void>(4).fill(change),
      ...[() => this.#cutLink(), () => this.#cutLink(), () => this.#isolate()],
      ...[() => this.#cut.clear(), () => this.#cut.clear()],
      () => {
        this.#lossShare = this.#pick(2) * 0.2;
      },
      ...[() => this.#restart(), () => this.#restart()],
      () => {
        this.#node().disk.isHeld = true;
      },
      ...[() => this.#releaseDisks(), () => this.#releaseDisks()],
      ...[() => this.#transfer(), () => this.#transfer()],
    ];
  }

  #pick(below: number): number {
    return Math.floor(this.#random() * below);
  }

  #node(): WorldNode {
    return this.#world.nodes[this.#pick(NODES)]!;
  }

  #holders(): WorldNode[] {
    return this.#world.nodes.filter(({ driver }) => driver.shards().includes(SHARD));
  }

  #ledBy(): WorldNode[] {
    return this.#holders().filter(({ driver }) => driver.status(SHARD).role === 'leader');
  }

  #propose(): void {
    for (const { driver } of this.#ledBy()) {
      const text = `m${++this.#proposals}`;
      const head = new TextEncoder().encode(text);
      const command = { head, payload: EMPTY_BYTES, bodyCrc: 0 };
      driver.propose(SHARD, command, 'majorityFsync', ({ status }) => {
        if (status === 'applied') this.acknowledged.push(text);
      });
    }
  }

  #cutLink(): void {
    const [from, to] = [this.#node().id, this.#node().id];
    this.#cut.add(`${from}>${to}`);
    if (this.#pick(3) > 0) this.#cut.add(`${to}>${from}`);
  }

  #isolate(): void {
    const { id } = this.#node();
    for (const other of this.#world.nodes) {
      this.#cut.add(`${id}>${other.id}`);
      this.#cut.add(`${other.id}>${id}`);
    }
  }

  /** A crash: what the disk had not finished is gone. Not everybody notices at once. */
  #restart(): void {
    const node = this.#node();
    node.disk.isHeld = false;
    const damaged = this.#pick(2) === 0 ? this.#damage(node) : undefined;
    node.start(damaged === undefined ? [] : [damaged]);
    for (const other of this.#world.nodes) {
      if (other === node) continue;
      if (this.#pick(3) > 0) other.driver.peerReset(node.id);
      if (this.#pick(3) > 0) this.#connect(node, other);
    }
  }

  /** A committed entry loses its body, on one disk at a time: others have it. */
  #damage({ disk, driver, appliedIndex }: WorldNode): EntryId | undefined {
    const isFirst = this.#world.nodes.every((node) => node.disk.damaged.size === 0);
    if (!isFirst || !driver.shards().includes(SHARD)) return undefined;
    const { voters, votersOutgoing } = driver.membership(SHARD).config;
    if (voters.length < 3 || votersOutgoing.length > 0) return undefined;
    const start = driver.logStart(SHARD).index;
    const able = disk.entries.filter(({ index }) => index > start && index <= appliedIndex);
    const entry = able[this.#pick(able.length)];
    if (entry === undefined) return undefined;
    disk.damaged.add(entry.index);
    this.damages++;
    return { index: entry.index, term: entry.term };
  }

  #connect(one: WorldNode, other: WorldNode): void {
    one.driver.peerUp(other.id);
    other.driver.peerUp(one.id);
  }

  #releaseDisks(): void {
    for (const { disk } of this.#world.nodes) disk.release();
  }

  #compact(node: WorldNode): void {
    const { driver, appliedIndex } = node;
    if (!driver.shards().includes(SHARD) || appliedIndex <= driver.logStart(SHARD).index) return;
    if (driver.durableIndex(SHARD) >= appliedIndex) node.compact();
  }

  #transfer(): void {
    for (const { driver } of this.#ledBy()) {
      const { replicas } = driver.membership(SHARD);
      const to = replicas[this.#pick(replicas.length)]!.node;
      driver.transferLeadership(SHARD, to, () => undefined);
    }
  }

  #changeMembers(): void {
    for (const leader of this.#ledBy()) {
      const changes = new Map<number, MembershipChange>();
      const replicas: ReplicaAddress[] = [];
      for (let count = this.#pick(3); count >= 0; count--) {
        const change = this.#someChange(leader, replicas);
        if (change !== undefined) changes.set(change.node, change);
      }
      const request = { changes: [...changes.values()], replicas };
      leader.driver.changeMembership(SHARD, request, ({ status }) => {
        if (status === 'applied') this.changes++;
      });
    }
  }

  #someChange({ driver }: WorldNode, coming: ReplicaAddress[]): MembershipChange | undefined {
    const { config, replicas } = driver.membership(SHARD);
    const kind = this.#pick(3);
    if (kind === 0) {
      const taken = [...replicas, ...coming].map(({ node }) => node);
      const free = this.#world.nodes.filter(({ id }) => !taken.includes(id));
      const node = free[this.#pick(free.length)]?.id;
      if (node === undefined) return undefined;
      const replica = this.#nextReplica++;
      coming.push({ replica, node, incarnation: `n${node}` });
      return { type: 'addLearner', node: replica };
    }
    if (kind === 1) {
      // As the placement does it: only who has caught up some way.
      const able = driver.status(SHARD).replicas.filter(({ matchIndex }) => matchIndex > 0);
      const learner = able.find(({ replica }) => config.learners.includes(replica));
      return learner && { type: 'addVoter', node: learner.replica };
    }
    const voter = config.voters[this.#pick(config.voters.length)]!;
    return { type: this.#pick(3) === 0 ? 'addLearner' : 'remove', node: voter };
  }

  /** What the host does with invitations. */
  #createInvited(): void {
    for (const node of this.#world.nodes) {
      for (const { to, incarnation, membership, replaces } of node.invites.splice(0)) {
        if (incarnation !== `n${node.id}` || to <= (this.#highest.get(node.id) ?? 0)) continue;
        if (node.disk.state !== undefined && !replaces) continue;
        this.#highest.set(node.id, to);
        node.stop();
        node.disk.wipe();
        this.#world.hold(node.id, to, membership);
        node.start();
      }
    }
  }

  #deliverDelayed(): void {
    for (const deliver of this.#delayed.splice(0)) deliver();
    this.#world.run(0);
  }

  #check(): void {
    for (const { id, fatal, driver } of this.#holders()) {
      if (fatal !== undefined) throw fatal;
      const { role, term } = driver.status(SHARD);
      if (role !== 'leader') continue;
      const other = this.#leaders.get(term) ?? id;
      if (other !== id) throw new Error(`${other} and ${id} lead term ${term}`);
      this.#leaders.set(term, id);
    }
    const { texts: longest } = this.#longest();
    for (const { id, texts } of this.#world.nodes) {
      const at = texts.findIndex((text, index) => text !== longest[index]);
      if (at >= 0) throw new Error(`node ${id} applied ${texts[at]}, not ${longest[at]}`);
    }
  }

  #longest(): WorldNode {
    const longer = (left: WorldNode, right: WorldNode) =>
      left.texts.length >= right.texts.length ? left : right;
    return this.#world.nodes.reduce(longer);
  }

  /** Everything works again: soon somebody leads, and every member has what it acknowledged. */
  #heal(): void {
    this.#cut.clear();
    this.#lossShare = 0;
    this.#delayShare = 0;
    this.#delayed = [];
    this.#releaseDisks();
    for (const one of this.#world.nodes) {
      for (const other of this.#world.nodes) if (one !== other) this.#connect(one, other);
    }
    const endMs = this.#world.nowMs + HEAL_MS;
    const before = this.#proposals;
    while (!this.#isWhole(before)) {
      if (this.#world.nowMs >= endMs) throw new Error(`not whole after ${HEAL_MS} ms`);
      this.#propose();
      this.#world.run(100);
      this.#createInvited();
      this.#check();
    }
    const { texts } = this.#longest();
    const lost = this.acknowledged.filter((text) => !texts.includes(text));
    if (lost.length > 0) throw new Error(`acknowledged and lost: ${lost}`);
    const resets = this.#world.nodes.flatMap(({ disk }) => disk.records);
    this.snapshots = resets.filter(({ kind }) => kind === 'reset').length;
  }

  #isWhole(before: number): boolean {
    const [leader, second] = this.#ledBy();
    const fresh = this.acknowledged.find((text) => Number(text.slice(1)) > before);
    if (leader === undefined || second !== undefined || fresh === undefined) return false;
    const { config, replicas } = leader.driver.membership(SHARD);
    const isThere = ({ node }: ReplicaAddress) => this.#world.node(node).texts.includes(fresh);
    return config.votersOutgoing.length === 0 && replicas.every(isThere);
  }
}
