/**
 * Holds every invariant against everything that happens (one file each in invariants/). The world
 * calls it; it throws `SimFailure` at the first thing that must not be.
 */

import type { RaftDriver } from '../../../raft/driver.ts';
import { decodeMembership } from '../../../raft/membership-codec.ts';
import type { PeerMessage } from '../../../raft/messages.ts';
import type { LogRecord } from '../../../raft/ports.ts';
import {
  type Configuration,
  type Entry,
  EntryType,
  type LogIndex,
  type Membership,
  type NodeId,
  type ShardId,
  type Term,
} from '../../../raft/types.ts';
import { Coverage } from '../coverage.ts';
import { AckedPresent } from '../invariants/acked-present.ts';
import { AppliedState } from '../invariants/applied-state.ts';
import { ConfigRules } from '../invariants/config-rules.ts';
import { ElectionSafety } from '../invariants/election-safety.ts';
import { HardStateOnlyRises } from '../invariants/hard-state.ts';
import { LeaderAppendOnly } from '../invariants/leader-append-only.ts';
import { expectLeaderComplete } from '../invariants/leader-completeness.ts';
import { expectLogsMatch } from '../invariants/log-matching.ts';
import { OwnTermCommits } from '../invariants/own-term.ts';
import { Promises } from '../invariants/promises.ts';
import { LinearisableReads } from '../invariants/read-index.ts';
import { latestMedian, ShardTimeRule } from '../invariants/shard-time.ts';
import { Committed, expectOnQuorum } from '../invariants/state-machine-safety.ts';
import { type DiskView, placeKey } from '../invariants/views.ts';
import type { Applied } from '../machine.ts';
import { Ledger } from './ledger.ts';
import { hasUnsynced, Sightings } from './sightings.ts';

/** One machine as the judge sees it. */
export interface JudgedNode {
  readonly id: NodeId;
  readonly disk: DiskView;
  /** undefined = down. */
  readonly machine: {
    appliedIndex(shard: ShardId): LogIndex;
    persistedIndex(shard: ShardId): LogIndex;
  };
  readonly clock: { readonly highestWallMs: number; readonly lowestWallMs: number };
  readonly driver:
    | Pick<RaftDriver, 'shards' | 'holds' | 'status' | 'leaderOf' | 'membership'>
    | undefined;
}

export interface JudgedWorld {
  readonly nodes: readonly JudgedNode[];
  readonly shards: readonly ShardId[];
  readonly electionTimeoutMs: number;
  nowMs(): number;
}

export class Judge {
  readonly coverage = new Coverage();
  readonly committed = new Committed();
  readonly elections = new ElectionSafety();
  readonly configs = new ConfigRules();
  readonly reads = new LinearisableReads();
  readonly acks = new AckedPresent();
  readonly ledger = new Ledger();
  readonly #world: () => JudgedWorld;
  readonly #promises = new Promises();
  readonly #ownTerm = new OwnTermCommits();
  readonly #appendOnly = new LeaderAppendOnly();
  readonly #hardState = new HardStateOnlyRises();
  readonly #states = new AppliedState();
  readonly #time = new ShardTimeRule();
  /** The last configuration that each replica counted by, also of those that are down. */
  readonly #inForce = new Map<string, Configuration>();
  /** Each begins once. */
  readonly #reigns = new Set<string>();
  #sightings: Sightings | undefined = undefined;

  /** The world may still be under construction. */
  constructor(world: () => JudgedWorld) {
    this.#world = world;
  }

  get #seen(): Sightings {
    this.#sightings ??= new Sightings(this.coverage, this.#world().electionTimeoutMs);
    return this.#sightings;
  }

  born(shard: ShardId, { config }: Membership): void {
    this.configs.born(shard, config);
  }

  sent(node: JudgedNode, message: PeerMessage): void {
    if (message.type === 'alive') return;
    const synced = node.disk.synced.get(message.shard);
    if (synced !== undefined) this.#promises.sent(message, synced);
    this.elections.sent(message);
    this.#seen.sent(message, this.#world().nowMs());
  }

  received(message: PeerMessage): void {
    this.#seen.received(message, this.#world().nowMs());
  }

  /** Before the records reach the disk. */
  writes(node: JudgedNode, records: readonly LogRecord[]): void {
    for (const record of records) {
      const log = node.disk.written.get(record.shard);
      if (log !== undefined) this.#seen.writes(log, record);
    }
    this.#times(node, records);
  }

  /** Entries that nobody wrote before: this node leads, and made them. */
  #times(node: JudgedNode, records: readonly LogRecord[]): void {
    const terms = new Map<string, Term>();
    for (const record of records) {
      if (record.kind !== 'entry') continue;
      const { entry, shard } = record;
      terms.set(`${shard}/${entry.index}`, entry.term);
      if (!this.#time.isNew(shard, entry)) continue;
      if (entry.type === EntryType.noop) this.#time.begins(shard, entry, this.#earliestMs());
      const before = entry.index - 1;
      const log = node.disk.written.get(shard);
      const { logStart } = log?.state ?? {};
      const stored = before === logStart?.index ? logStart.term : log?.entry(before)?.term;
      const beforeTerm = terms.get(`${shard}/${before}`) ?? stored;
      // Beside a configuration nobody can tell here which one ruled.
      const rules = records.some(
        (one) => one.kind === 'entry' && one.entry.type === EntryType.config,
      );
      const median = rules ? undefined : this.#medianOf(node, shard);
      this.#time.proposed(shard, entry, beforeTerm, this.#world().nowMs(), median);
    }
  }

  #earliestMs(): number {
    return Math.min(...this.#world().nodes.map(({ clock }) => clock.lowestWallMs));
  }

  #medianOf({ driver }: JudgedNode, shard: ShardId): number | undefined {
    if (!driver?.holds(shard)) return undefined;
    const { config, replicas } = driver.membership(shard);
    const { nodes } = this.#world();
    return latestMedian(config, replicas, (home) => {
      return nodes.find(({ id }) => id === home)?.clock.highestWallMs;
    });
  }

  leads(node: JudgedNode, shard: ShardId, term: Term): void {
    const { driver, disk, id } = node;
    const log = disk.written.get(shard);
    if (driver === undefined || log === undefined) return;
    const place = { node: id, shard };
    // Said again when a transfer failed; others may have committed since without its knowing.
    const reign = `${placeKey(place)} in ${term}`;
    if (this.#reigns.has(reign)) return;
    this.#reigns.add(reign);
    const self = log.state.replica;
    const { config } = driver.membership(shard);
    const { lastIndex, commit } = driver.status(shard);
    this.#inForce.set(placeKey(place), config);
    this.elections.leads(shard, term, id, self, config);
    expectLeaderComplete(shard, term, this.committed.of(shard), log, lastIndex);
    this.#ownTerm.leads(place, term, commit);
    this.#seen.leads(place, term, self, lastIndex);
  }

  deposed(node: JudgedNode, shard: ShardId): void {
    if (node.driver === undefined) return;
    this.#seen.deposed({ node: node.id, shard }, node.driver.status(shard).term);
  }

  applied(shard: ShardId, applied: Applied): void {
    const { entry, stateHash } = applied;
    if (this.committed.applied(shard, entry)) this.#isNew(shard, applied);
    this.#states.at(shard, entry.index, stateHash);
  }

  /** A snapshot through `index` took the place of a replica's state. */
  restored(shard: ShardId, index: LogIndex, stateHash: number): void {
    this.#states.at(shard, index, stateHash);
  }

  #isNew(shard: ShardId, applied: Applied): void {
    const { entry } = applied;
    this.#expectOnQuorum(shard, entry);
    if (entry.type === EntryType.config) {
      const { config } = decodeMembership(entry.head);
      this.#seen.configured(this.configs.current(shard), config);
      this.configs.committed(shard, entry.index, config);
    }
    this.#seen.committed(shard, entry.index);
    this.ledger.applied(shard, applied);
  }

  /** Whoever committed it counted by a configuration in force somewhere, or by the last one. */
  #expectOnQuorum(shard: ShardId, entry: Entry): void {
    const { nodes } = this.#world();
    const configs: Configuration[] = [];
    const current = this.configs.current(shard);
    if (current !== undefined) configs.push(current);
    for (const { id, driver } of nodes) {
      const config = driver?.holds(shard)
        ? driver.membership(shard).config
        : this.#inForce.get(placeKey({ node: id, shard }));
      if (config !== undefined && !configs.includes(config)) configs.push(config);
    }
    const logs = nodes.flatMap(({ disk }) => [
      ...(disk.gone?.get(shard) ?? []),
      ...(disk.synced.has(shard) ? [disk.synced.get(shard)!] : []),
    ]);
    expectOnQuorum(shard, entry, configs, logs);
  }

  /** After each pass of a replica over committed entries. */
  passed(node: JudgedNode, shard: ShardId): void {
    const log = node.disk.written.get(shard);
    if (node.driver === undefined || log === undefined) return;
    // Telling the whole status is dear: only of leaders.
    if (node.driver.leaderOf(shard) !== node.id) return;
    const place = { node: node.id, shard };
    const { role, term, commit } = node.driver.status(shard);
    if (role !== 'leader') return;
    this.#inForce.set(placeKey(place), node.driver.membership(shard).config);
    this.#ownTerm.committed(place, term, commit, log.entry(commit)?.term);
    this.#appendOnly.looks(place, term, log);
  }

  /** Before the process is gone. */
  crashes(node: JudgedNode): void {
    const { id, disk, driver } = node;
    for (const shard of driver?.shards() ?? []) {
      const place = { node: id, shard };
      const { config } = driver!.membership(shard);
      this.#inForce.set(placeKey(place), config);
      if (config.votersOutgoing.length > 0) this.coverage.reach('crash in a joint configuration');
      const written = disk.written.get(shard);
      const synced = disk.synced.get(shard);
      const isTorn = written !== undefined && synced !== undefined && hasUnsynced(written, synced);
      this.#seen.crashed(place, isTorn);
      const { machine } = node;
      const isAhead = machine.appliedIndex(shard) > machine.persistedIndex(shard);
      if (isAhead) this.coverage.reach('state set back by a crash');
      this.#appendOnly.ended(place);
      this.#hardState.ended(place);
    }
  }

  /** The replica is gone from the node; another one may come. */
  left({ id }: JudgedNode, shard: ShardId): void {
    const place = { node: id, shard };
    this.#inForce.delete(placeKey(place));
    this.#appendOnly.ended(place);
    this.#hardState.ended(place);
  }

  /** Compares whole logs: dear, so only now and then. */
  look(): void {
    const { nodes, shards } = this.#world();
    for (const shard of shards) {
      const logs = nodes.flatMap(({ disk }) => disk.written.get(shard) ?? []);
      expectLogsMatch(shard, logs);
      for (const node of nodes) this.#lookAt(node, shard);
    }
  }

  #lookAt({ id, disk, driver }: JudgedNode, shard: ShardId): void {
    const synced = disk.synced.get(shard);
    const place = { node: id, shard };
    // A suspect replica has forgotten, and knows it.
    if (synced !== undefined && synced.state.suspect === undefined) {
      this.#hardState.durable(place, synced.state.replica, synced.state.hardState);
    }
    const written = disk.written.get(shard);
    if (written === undefined || driver?.holds(shard) !== true) return;
    const { role, term, commit } = driver.status(shard);
    this.#hardState.commits(place, commit);
    if (role !== 'leader') return;
    this.configs.expectOneUncommitted(shard, term, commit, written);
  }

  /** At the end of a run. */
  end(): void {
    this.look();
    this.acks.expectAll(
      (shard) => this.committed.of(shard),
      (tag) => this.ledger.once.has(tag),
    );
  }
}
