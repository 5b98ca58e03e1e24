/**
 * A few bare cores with hands on everything: messages wait until they are delivered, disks until
 * they are told to finish, time stands still until it is moved.
 */
import { DEFAULT_RAFT_CONFIG, type RaftConfig } from '../../raft/config.ts';
import { type ProposeResult, RaftCore } from '../../raft/core.ts';
import type { CoreMessage, Invite } from '../../raft/messages.ts';
import type { ConfirmedRead, LoadRequest, PendingWrite } from '../../raft/ready.ts';
import type { ChangeRefusal, MembershipRequest } from '../../raft/reconfigure.ts';
import type { TransferOutcome } from '../../raft/transfer.ts';
import {
  EMPTY_BYTES,
  type Entry,
  type HardState,
  type Membership,
  type RecoveredShard,
  type ShardState,
  type TermStart,
} from '../../raft/types.ts';

export const SHARD = 1;

export function membershipOf(ids: readonly number[]): Membership {
  return {
    config: { voters: [...ids], votersOutgoing: [], learners: [], learnersNext: [] },
    replicas: ids.map((id) => ({ replica: id, node: id, incarnation: `n${id}` })),
  };
}

export function entryAt(index: number, term: number, text = `${index}@${term}`): Entry {
  const head = new TextEncoder().encode(text);
  return { index, term, type: 1, timeMs: 0, head, payload: EMPTY_BYTES, bodyCrc: 0 };
}

/** `entries(1, 1, 2)`: a log whose entries have these terms, from index 1. */
export function entries(...terms: number[]): Entry[] {
  return terms.map((term, at) => entryAt(at + 1, term));
}

export function termStartsOf(log: readonly Entry[]): TermStart[] {
  const starts: TermStart[] = [];
  for (const { term, index } of log) if (starts.at(-1)?.term !== term) starts.push({ term, index });
  return starts;
}

export interface ReplicaOptions {
  readonly voters?: readonly number[];
  readonly membership?: Membership;
  readonly log?: readonly Entry[];
  readonly hardState?: Partial<HardState>;
  readonly applied?: number;
  readonly config?: Partial<RaftConfig>;
  readonly rng?: () => number;
}

/** One core with its disk: `written` is all that was handed over, `synced` what became durable. */
export class TestReplica {
  core: RaftCore;
  readonly id: number;
  readonly options: ReplicaOptions;
  state: ShardState;
  synced: Entry[];
  pending: PendingWrite[] = [];
  sent: CoreMessage[] = [];
  invites: Invite[] = [];
  applied: Entry[] = [];
  confirmedReads: ConfirmedRead[] = [];
  failedReads: number[] = [];
  loads: LoadRequest[] = [];
  transferred: TransferOutcome[] = [];
  isDiskManual = false;
  nowMs = 0;
  wallMs = 1000;

  constructor(id: number, options: ReplicaOptions = {}) {
    this.id = id;
    this.options = options;
    this.synced = [...(options.log ?? [])];
    this.state = {
      hardState: { term: this.synced.at(-1)?.term ?? 0, vote: 0, commit: 0, ...options.hardState },
      replica: id,
      logStart: { index: 0, term: 0 },
      membership: options.membership ?? membershipOf(options.voters ?? [1, 2, 3]),
    };
    this.core = this.#boot();
  }

  recovered(): RecoveredShard {
    return {
      shard: SHARD,
      state: this.state,
      lastIndex: this.synced.at(-1)?.index ?? this.state.logStart.index,
      termStarts: termStartsOf(this.synced),
      configEntries: this.synced.filter(({ type }) => type === 2),
    };
  }

  #boot(): RaftCore {
    const core = new RaftCore({
      recovered: this.recovered(),
      applied: this.options.applied ?? 0,
      config: { ...DEFAULT_RAFT_CONFIG, bootDelayMs: 100_000, ...this.options.config },
      rng: this.options.rng ?? (() => this.id / 10),
    });
    core.lastTimeWas(this.synced.at(-1)?.timeMs ?? 0);
    core.start(this.now);
    return core;
  }

  get now() {
    return { nowMs: this.nowMs, wallMs: this.wallMs };
  }

  /** Power cut: everything not durable is gone; then boots again. */
  restart(): void {
    this.pending = [];
    this.sent = [];
    this.applied = [];
    this.core = this.#boot();
  }

  step(message: CoreMessage): void {
    this.core.step(message, this.now);
    this.pump();
  }

  tick(): void {
    this.core.tick(this.now);
    this.pump();
  }

  /** Lets the election timeout pass for this replica alone. */
  timeOut(): void {
    this.nowMs = Math.max(this.nowMs, this.core.nextDeadlineMs);
    this.tick();
  }

  propose(text: string, wantsWritten = false): ProposeResult {
    const head = new TextEncoder().encode(text);
    const command = { head, payload: EMPTY_BYTES, bodyCrc: 0 };
    const result = this.core.propose(command, wantsWritten, this.now);
    this.pump();
    return result;
  }

  change(request: Partial<MembershipRequest>): Entry | ChangeRefusal {
    const { changes = [], replicas = [] } = request;
    const result = this.core.changeMembership({ changes, replicas }, this.now);
    this.pump();
    return result;
  }

  transferTo(id: number): TransferOutcome | undefined {
    const outcome = this.core.transferTo(id, this.now);
    this.pump();
    return outcome;
  }

  readIndex(id: number): void {
    this.core.readIndex(id, this.now);
    this.pump();
  }

  /** What a driver does: takes Ready, hands over, applies. */
  pump(): void {
    const ready = this.core.ready();
    for (const message of ready.messages) {
      if (message.type === 'invite') this.invites.push(message);
      else this.sent.push(message);
    }
    this.confirmedReads.push(...ready.confirmedReads);
    this.failedReads.push(...ready.failedReads);
    if (ready.transferred !== undefined) this.transferred.push(ready.transferred);
    if (ready.write !== undefined) this.pending.push(ready.write);
    this.#apply();
    for (const load of ready.loads) this.#load(load);
    if (!this.isDiskManual) this.sync();
  }

  #load(load: LoadRequest): void {
    this.loads.push(load);
    const from = this.synced.filter(({ index }) => index >= load.from && index <= load.to);
    this.core.loaded(load, from, this.now);
    this.pump();
  }

  #apply(): void {
    const { log } = this.core;
    while (log.applied < log.commit) {
      const entry = log.entry(log.applied + 1) ?? this.synced[log.applied];
      if (entry === undefined) throw new Error(`no entry ${log.applied + 1} to apply`);
      this.applied.push(entry);
      this.core.appliedTo(entry.index);
    }
  }

  writeOne(): void {
    const write = this.pending[0];
    if (write === undefined) throw new Error('nothing to write');
    this.core.written(write);
    this.pump();
  }

  syncOne(): void {
    const write = this.pending.shift();
    if (write === undefined) throw new Error('nothing to sync');
    for (const record of write.records) {
      if (record.kind === 'reset') this.synced = [];
      if (record.kind === 'state' || record.kind === 'reset') this.state = record.state;
      if (record.kind !== 'entry') continue;
      this.synced = this.synced.filter(({ index }) => index < record.entry.index);
      this.synced.push(record.entry);
    }
    this.core.durable(write, this.now);
    this.pump();
  }

  sync(): void {
    while (this.pending.length > 0) this.syncOne();
  }

  take(): CoreMessage[] {
    const taken = this.sent;
    this.sent = [];
    return taken;
  }

  /** The terms of the whole log, from memory and disk. */
  logTerms(): number[] {
    const { log } = this.core;
    return Array.from({ length: log.lastIndex }, (_, at) => log.term(at + 1)!);
  }
}

export class CoreCluster {
  readonly replicas: readonly TestReplica[];
  inFlight: CoreMessage[] = [];
  /** Pairs "from>to" whose messages vanish. */
  readonly cut = new Set<string>();

  constructor(ids: readonly number[], options: (id: number) => ReplicaOptions = () => ({})) {
    this.replicas = ids.map((id) => new TestReplica(id, { voters: ids, ...options(id) }));
  }

  replica(id: number): TestReplica {
    const found = this.replicas.find((replica) => replica.id === id);
    if (found === undefined) throw new Error(`no replica ${id}`);
    return found;
  }

  get nowMs(): number {
    return this.replicas[0]!.nowMs;
  }

  advance(ms: number): void {
    const nowMs = Math.max(...this.replicas.map((replica) => replica.nowMs)) + ms;
    for (const replica of this.replicas) replica.nowMs = nowMs;
  }

  /** Moves time and lets every deadline on the way happen. */
  run(ms: number, stepMs = 10): void {
    for (let left = ms; left > 0; left -= stepMs) {
      this.advance(Math.min(stepMs, left));
      for (const replica of this.replicas) {
        if (replica.core.nextDeadlineMs <= replica.nowMs) replica.tick();
      }
      this.settle();
    }
  }

  collect(): void {
    for (const replica of this.replicas) this.inFlight.push(...replica.take());
  }

  isolate(id: number): void {
    for (const { id: other } of this.replicas) {
      if (other === id) continue;
      this.cut.add(`${id}>${other}`);
      this.cut.add(`${other}>${id}`);
    }
  }

  heal(): void {
    this.cut.clear();
  }

  /** Delivers what is in flight now; answers wait for the next call. */
  deliver(filter: (message: CoreMessage) => boolean = () => true): CoreMessage[] {
    this.collect();
    const due = this.inFlight.filter(filter);
    this.inFlight = this.inFlight.filter((message) => !due.includes(message));
    const arrived = due.filter(({ from, to }) => !this.cut.has(`${from}>${to}`));
    for (const message of arrived) this.replica(message.to).step(message);
    this.collect();
    return arrived;
  }

  /** Until nobody has anything to say. */
  settle(): void {
    for (let rounds = 0; rounds < 10_000; rounds++) {
      this.collect();
      if (this.inFlight.length === 0) return;
      this.deliver();
    }
    throw new Error('the cluster does not come to rest');
  }

  /** Makes `id` leader: nobody is sticky any more, and only its timeout passes. */
  elect(id: number): TestReplica {
    this.advance(5000);
    const candidate = this.replica(id);
    candidate.timeOut();
    this.settle();
    if (candidate.core.role !== 'leader') throw new Error(`${id} was not elected`);
    return candidate;
  }
}
