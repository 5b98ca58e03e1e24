/** One real driver whose world is plain lists: messages wait, writes wait, time is a variable. */
import { DEFAULT_RAFT_CONFIG, type RaftConfig } from '../../raft/config.ts';
import { type ProposalOutcome, RaftDriver, type ReadOutcome } from '../../raft/driver.ts';
import type { Invite, PeerMessage } from '../../raft/messages.ts';
import type { LogRecord, LogStore, WriteCallbacks } from '../../raft/ports.ts';
import { EMPTY_BYTES, type Entry, type RecoveredShard, type ShardState } from '../../raft/types.ts';
import { membershipOf, termStartsOf } from './raft-cluster.ts';

export interface Sent {
  readonly to: number;
  readonly lane: 'control' | 'bulk';
  readonly messages: readonly PeerMessage[];
}

export class DriverRig implements LogStore {
  readonly driver: RaftDriver;
  nowMs = 0;
  wallMs = 1000;
  wakeAtMs: number | undefined;
  #wake: (() => void) | undefined;
  #deferred: (() => void)[] = [];
  sends: Sent[] = [];
  writes: { records: readonly LogRecord[]; callbacks: WriteCallbacks }[] = [];
  applied: string[] = [];
  appliedThrough: number[] = [];
  events: string[] = [];
  invites: [number, Invite][] = [];
  fatal: Error | undefined;
  hasRoom = true;
  stored = new Map<number, Entry[]>();
  readError: Error | undefined;
  /** When set, what was read waits here for its turn to be answered. */
  heldReads: (() => void)[] | undefined;

  constructor(config: Partial<RaftConfig> = {}) {
    this.driver = new RaftDriver({
      node: 1,
      config: { ...DEFAULT_RAFT_CONFIG, ...config },
      store: this,
      transport: { send: (to, lane, messages) => this.sends.push({ to, lane, messages }) },
      clock: {
        nowMs: () => this.nowMs,
        wallMs: () => this.wallMs,
        wakeAt: (atMs, wake) => {
          this.wakeAtMs = atMs;
          this.#wake = wake;
        },
        cancelWake: () => {
          this.wakeAtMs = undefined;
          this.#wake = undefined;
        },
        defer: (run) => this.#deferred.push(run),
      },
      rng: () => 0,
      stateMachine: {
        apply: (shard, entry) => {
          this.applied.push(`${shard}:${entry.index}@${entry.term}`);
          return `result ${entry.index}`;
        },
        applied: (_shard, through) => this.appliedThrough.push(through.index),
        hasRoom: () => this.hasRoom,
        restore: (shard, id) => this.applied.push(`${shard}:restore ${id.index}@${id.term}`),
      },
      events: {
        onLeader: (shard, leader, term) => this.events.push(`leader ${shard} ${leader} ${term}`),
        onReady: (shard, term) => this.events.push(`ready ${shard} ${term}`),
        onDeposed: (shard) => this.events.push(`deposed ${shard}`),
        onLiveness: (node, isAlive) =>
          this.events.push(`node ${node} ${isAlive ? 'heard' : 'silent'}`),
        onInvite: (from, invite) => this.invites.push([from, invite]),
        onDurable: (shard, index) => this.events.push(`durable ${shard} ${index}`),
      },
      onFatal: (error) => {
        this.fatal = error;
      },
    });
  }

  /** A shard on nodes 1, 2, 3 (or fewer); this node's replica id is 10 * shard + 1. */
  addShard(
    shard: number,
    nodes: readonly number[] = [1, 2, 3],
    log: readonly Entry[] = [],
    facts: Partial<ShardState> = {},
  ): void {
    const { config } = membershipOf(nodes.map((node) => 10 * shard + node));
    const replicas = nodes.map((node) => ({ replica: 10 * shard + node, node, incarnation: 'x' }));
    this.stored.set(shard, [...log]);
    const recovered: RecoveredShard = {
      shard,
      state: {
        hardState: { term: log.at(-1)?.term ?? 0, vote: 0, commit: 0 },
        replica: 10 * shard + 1,
        logStart: { index: 0, term: 0 },
        membership: { config, replicas },
        ...facts,
      },
      lastIndex: log.length,
      termStarts: termStartsOf(log),
      configEntries: [],
    };
    this.driver.addShard(recovered, 0);
  }

  write(records: readonly LogRecord[], callbacks: WriteCallbacks): void {
    this.writes.push({ records, callbacks });
  }

  read(
    shard: number,
    from: number,
    to: number,
    maxBytes: number,
    onEntries: (error: Error | undefined, entries: readonly Entry[]) => void,
  ): void {
    if (this.readError !== undefined) {
      onEntries(this.readError, []);
      return;
    }
    const wanted = this.stored.get(shard)!.filter(({ index }) => index >= from && index <= to);
    const read = wanted.slice(0, Math.max(1, Math.floor(maxBytes / 100)));
    if (this.heldReads === undefined) onEntries(undefined, read);
    else this.heldReads.push(() => onEntries(undefined, read));
  }

  /** The rest of this event-loop turn. */
  turn(): void {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const run of deferred) run();
  }

  get isIdle(): boolean {
    return this.#deferred.length === 0;
  }

  turns(): void {
    for (let count = 0; count < 100 && !this.isIdle; count++) this.turn();
  }

  sync(): void {
    const writes = this.writes;
    this.writes = [];
    for (const { records, callbacks } of writes) {
      for (const record of records) if (record.kind === 'entry') this.#store(record);
      callbacks.onWritten?.();
      callbacks.onDurable();
    }
    this.turns();
  }

  #store({ shard, entry }: LogRecord & { kind: 'entry' }): void {
    const log = this.stored.get(shard)!.filter(({ index }) => index < entry.index);
    this.stored.set(shard, [...log, entry]);
  }

  wake(atMs = this.wakeAtMs!): void {
    this.nowMs = atMs;
    const wake = this.#wake;
    this.#wake = undefined;
    this.wakeAtMs = undefined;
    wake?.();
    this.turns();
  }

  takeSends(): Sent[] {
    const taken = this.sends;
    this.sends = [];
    return taken;
  }

  /** Makes this node leader of `shard` by answering for node 2. */
  lead(shard: number, term = 1): void {
    this.wake(this.nowMs + 3000);
    this.grant(shard, term);
  }

  /** Node 2's grants for a pre-candidate. */
  grant(shard: number, term = 1): void {
    const to = { shard, from: 10 * shard + 2, to: 10 * shard + 1 };
    const reply = { ...to, granted: true, sticky: false, wallMs: this.wallMs };
    this.driver.receive(2, [{ ...reply, type: 'preVoteReply', term }]);
    this.turns();
    this.sync();
    this.driver.receive(2, [{ ...reply, type: 'voteReply', term }]);
    this.turns();
    this.sync();
  }

  ack(shard: number, term: number, matchIndex: number): void {
    const reply = { shard, from: 10 * shard + 2, to: 10 * shard + 1, term, success: true };
    const conflict = { conflictTerm: 0, conflictIndex: 0, lastIndex: matchIndex };
    this.driver.receive(2, [{ ...reply, ...conflict, type: 'appendReply', matchIndex }]);
    this.turns();
  }

  propose(shard: number, level: 'majorityFsync' | 'majority' | 'leader' = 'majorityFsync') {
    const outcomes: ProposalOutcome[] = [];
    const command = { head: new Uint8Array([1]), payload: EMPTY_BYTES, bodyCrc: 0 };
    const id = this.driver.propose(shard, command, level, (outcome) => outcomes.push(outcome));
    return { id, outcomes };
  }

  readIndex(shard: number): ReadOutcome[] {
    const outcomes: ReadOutcome[] = [];
    this.driver.readIndex(shard, (outcome) => outcomes.push(outcome));
    return outcomes;
  }
}

/** Leads shard 1; its no-op is committed. */
export function leading(config = {}): DriverRig {
  const rig = new DriverRig(config);
  rig.addShard(1);
  rig.driver.start();
  rig.turns();
  rig.lead(1);
  rig.ack(1, 1, 1);
  rig.takeSends();
  return rig;
}
