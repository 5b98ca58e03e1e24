/**
 * Several services in one process over real state machines and a make-believe consensus: an entry
 * is committed when the leader proposes it. Leaders, connections and metadata lag are under the
 * test's control; gRPC is real.
 */
import { strict as assert } from 'node:assert';
import type { ServerCredentials } from '@grpc/grpc-js';
import type { ProposalOutcome, ReadOutcome } from '../../raft/driver.ts';
import { EMPTY_BYTES, type Entry, EntryType } from '../../raft/types.ts';
import { encodeEntries } from '../../src/backup/entries.ts';
import type { DataShard, QueueView } from '../../src/broker/api.ts';
import { decodeCommand, encodeCommand } from '../../src/broker/command-codec.ts';
import type { Durability, QueueCompaction } from '../../src/broker/commands.ts';
import { createDataShard } from '../../src/broker/data-shard.ts';
import { NEWEST_LEVEL } from '../../src/broker/feature-level.ts';
import { DATA_SHARD_LIMITS } from '../../src/broker/limits.ts';
import type { QueueIndexRow, StateWriter } from '../../src/broker/state-port.ts';
import { startSystemTimer } from '../../src/clock.ts';
import type { MetaState } from '../../src/cluster/api.ts';
import type { Birth } from '../../src/cluster/birth-placement.ts';
import { encodeMetaCommand } from '../../src/cluster/meta-codec.ts';
import { createMetaState } from '../../src/cluster/meta-state.ts';
import { createTopicReconciler } from '../../src/cluster/topic-reconciler.ts';
import type {
  IncomingCall,
  PeerAnswer,
  PeerCallOutcome,
  PeerNetwork,
  PeerRequest,
} from '../../src/peers/api.ts';
import type { ServiceConfig } from '../../src/service/config.ts';
import type { AuthOptions } from '../../src/service/guard.ts';
import { NO_METERS, type ServiceMeters } from '../../src/service/meters.ts';
import { createService, type Service, type ServiceLogger } from '../../src/service/service.ts';
import type {
  Cancellable,
  FetchArguments,
  FetchOutcome,
  ShardHost,
  ShardStatus,
} from '../../src/shards/api.ts';
import type { BackupSource } from '../../src/shards/backup-source.ts';
import type { HeldLog } from '../../src/shards/held-log.ts';
import {
  bytesToLookAt,
  choiceOf,
  matchingMessages,
  messagesToLookAt,
  type ReadBatches,
} from '../../src/shards/matching-messages.ts';
import { QueueReader, type ReadStore, type RowSource } from '../../src/shards/queue-reader.ts';
import { VisibleMessages } from '../../src/shards/visible-messages.ts';
import { bodyCrcOf } from '../../storage/record.ts';
import { born } from './births.ts';
import { fakeRetention } from './fake-retention.ts';

const TERM = 7;

interface ShardLog {
  readonly entries: Entry[];
  readonly data: DataShard;
  readonly rows: QueueIndexRow[];
  readonly waiters: Set<() => void>;
}

const logger = { info() {}, warn() {}, error() {} };

export class FakeCluster {
  readonly birth: Birth;
  readonly shards: readonly number[];
  readonly leaders = new Map<number, number | undefined>();
  readonly ready = new Map<number, boolean>();
  readonly logs = new Map<number, ShardLog>();
  readonly nodes: FakeNode[] = [];
  timeMs = 1_700_000_000_000;
  /** What holds the log of every node, for DescribeRetention. */
  heldLogs: readonly HeldLog[] = [];
  /** Called for each queue that DescribeRetention asks about. */
  onPlan: () => void = () => undefined;
  /** A node without room for new messages, whatever the shard. */
  fullDisk: number | undefined;
  term = TERM;
  /** Set to decide a proposal's fate before it is appended. */
  intercept: ((shard: number) => ProposalOutcome | undefined) | undefined;
  proposals = 0;
  /** Asked for by every node; set before `start`. */
  auth: AuthOptions | undefined;
  logger: ServiceLogger = logger;
  /** What the service of a node counts with; set before `start`. */
  metersOf: (node: number) => ServiceMeters = () => NO_METERS;

  constructor(nodes: number, dataShards: number, featureLevel = NEWEST_LEVEL) {
    this.birth = { ...born(nodes, dataShards, nodes), featureLevel };
    this.shards = Array.from({ length: dataShards + 1 }, (_, shard) => shard);
    for (const shard of this.shards) {
      this.leaders.set(shard, (shard % nodes) + 1);
      this.ready.set(shard, true);
      const data = createDataShard(shard, DATA_SHARD_LIMITS, featureLevel);
      this.logs.set(shard, { entries: [], data, rows: [], waiters: new Set() });
    }
    for (let node = 1; node <= nodes; node += 1) this.nodes.push(new FakeNode(this, node));
  }

  shard(id: number): ShardLog {
    return this.logs.get(id)!;
  }

  async start(config: Partial<ServiceConfig> = {}): Promise<void> {
    for (const node of this.nodes) await node.start(config);
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }

  node(id: number): FakeNode {
    return this.nodes[id - 1]!;
  }

  /** Whoever led before is told to step down. */
  setLeader(shard: number, node: number | undefined, ready = true): void {
    this.leaders.set(shard, node);
    this.ready.set(shard, ready);
    for (const waiter of [...this.logs.get(shard)!.waiters]) waiter();
    for (const one of this.nodes) one.tellLeadership(shard);
  }

  append(shard: number, head: Uint8Array, payload: Uint8Array): { entry: Entry; result: unknown } {
    const log = this.logs.get(shard)!;
    const entry: Entry = {
      index: log.entries.length + 1,
      term: this.term,
      type: EntryType.command,
      timeMs: this.timeMs,
      head,
      payload,
      bodyCrc: bodyCrcOf(head, payload),
    };
    log.entries.push(entry);
    let result: unknown;
    if (shard === 0) result = this.#applyMeta(entry);
    else result = log.data.apply(entry, indexWriter(log));
    for (const waiter of [...log.waiters]) waiter();
    for (const one of this.nodes) one.tellApplied(shard);
    return { entry, result };
  }

  /** A topic as the reconciler would leave it. */
  createTopic(
    name: string,
    queueCount: number,
    durability: Durability = 1,
    compaction?: QueueCompaction,
  ): void {
    const compacted = compaction === undefined ? {} : { compaction };
    const config = { retentionMs: 0, retentionBytes: 0, durability, ...compacted };
    const command = { type: 'createTopic', name, queueCount, config } as const;
    this.append(0, encodeMetaCommand(command), EMPTY_BYTES);
    this.reconcile();
  }

  /** What the topic reconciler does, at once. */
  reconcile(): void {
    const reconciler = createTopicReconciler({
      pendingTopics: () => this.nodes[0]!.meta.pendingTopics(),
      dataShards: this.shards.filter((shard) => shard !== 0),
      callShard: (shard, command, done) => {
        this.append(shard, encodeCommand(command), EMPTY_BYTES);
        done(true);
      },
      proposeMeta: (command, done) => {
        this.append(0, encodeMetaCommand(command), EMPTY_BYTES);
        done(true);
      },
      startTimer: () => () => undefined,
    });
    reconciler.becameReady();
  }

  #applyMeta(entry: Entry): unknown {
    let result: unknown;
    for (const node of this.nodes) {
      const own = node.applyMeta(entry);
      if (own !== undefined) result = own;
    }
    return result;
  }
}

function indexWriter(log: ShardLog): StateWriter {
  return {
    ...silent,
    putIndex: (row) => log.rows.push(row),
    moveIndex(row) {
      const isIn = ({ baseOffset, queueId }: QueueIndexRow) =>
        queueId === row.queueId && baseOffset >= row.baseOffset && baseOffset < endOf(row);
      const at = log.rows.findIndex(isIn);
      const others = log.rows.splice(at).filter((one) => !isIn(one));
      log.rows.push(row, ...others);
    },
  };
}

function endOf({ baseOffset, count }: QueueIndexRow): number {
  return baseOffset + count;
}

const silent: StateWriter = { put() {}, putIndex() {}, moveIndex() {}, dropIndexBelow() {} };

export class FakeNode {
  readonly id: number;
  readonly cluster: FakeCluster;
  readonly meta: MetaState;
  readonly host: ShardHost;
  readonly peers: FakePeers;
  service!: Service;
  port = 0;
  /** Entries of the metadata shard that this node was not given yet. */
  readonly held: Entry[] = [];
  holdMeta = false;
  metaApplied = 0;
  /** Shards that this node has no replica of. */
  readonly remote = new Set<number>();
  /** Polls that wait here. */
  fetchWaiters = 0;
  /** Fetches that were answered with messages. */
  fetchesFilled = 0;
  readonly leadershipListeners = new Set<(shard: number) => void>();
  readonly appliedListeners = new Set<(shard: number) => void>();

  constructor(cluster: FakeCluster, id: number) {
    this.cluster = cluster;
    this.id = id;
    this.meta = createMetaState(cluster.birth);
    this.peers = new FakePeers(cluster, id);
    this.host = createHost(this);
  }

  async start(config: Partial<ServiceConfig>, credentials?: ServerCredentials): Promise<void> {
    const { cluster, host, peers } = this;
    const birth = { ...cluster.birth, clusterId: 'test', createdAtMs: 1 };
    const meters = cluster.metersOf(this.id);
    this.service = createService({
      retention: fakeRetention(cluster),
      ...{ host, peers, birth, meters, config, backups: logsOf(cluster) },
      ...{ auth: cluster.auth, logger: cluster.logger },
      ...(credentials && { credentials }),
    });
    const { port } = await this.service.start({ host: '127.0.0.1', port: 0 });
    this.port = port;
  }

  stop(): Promise<void> {
    return this.service.stop(100);
  }

  applyMeta(entry: Entry): unknown {
    if (this.holdMeta) {
      this.held.push(entry);
      return undefined;
    }
    this.metaApplied = entry.index;
    return this.meta.apply(entry, silent);
  }

  /** Another replica takes the place of this node's: it knows nothing until released. */
  renewMeta(): void {
    this.meta.load([]);
    this.metaApplied = 0;
    this.holdMeta = true;
    this.held.splice(0, Infinity, ...this.cluster.logs.get(0)!.entries);
    this.tellLeadership(0);
  }

  releaseMeta(): void {
    this.holdMeta = false;
    for (const entry of this.held.splice(0)) this.applyMeta(entry);
    this.tellApplied(0);
  }

  tellLeadership(shard: number): void {
    if (this.remote.has(shard)) return;
    for (const listener of [...this.leadershipListeners]) listener(shard);
  }

  tellApplied(shard: number): void {
    for (const listener of [...this.appliedListeners]) listener(shard);
  }
}

function createHost(node: FakeNode): ShardHost {
  const { cluster, id } = node;
  const leads = (shard: number) => cluster.leaders.get(shard) === id && cluster.ready.get(shard);
  const log = (shard: number) => cluster.logs.get(shard)!;
  const notLeader = (shard: number) => {
    const leader = cluster.leaders.get(shard);
    return { status: 'notLeader' as const, ...(leader === undefined ? {} : { leader }) };
  };
  return {
    node: id,
    shards: () => cluster.shards,
    holds: (shard) => !node.remote.has(shard),
    leaderOf: (shard) => (node.remote.has(shard) ? undefined : cluster.leaders.get(shard)),
    isReady: (shard) => leads(shard) === true,
    onLeadership: (listener) => subscribe(node.leadershipListeners, listener),
    onApplied: (listener) => subscribe(node.appliedListeners, listener),
    shardTimeMs: () => cluster.timeMs,
    startTimer: startSystemTimer,
    propose(shard, head, payload, level, done) {
      cluster.proposals += 1;
      const fate = leads(shard) ? cluster.intercept?.(shard) : notLeader(shard);
      if (fate !== undefined) {
        done(fate);
        return;
      }
      // Round trips take a turn of the loop, and come back in order.
      setImmediate(() => {
        const { entry, result } = cluster.append(shard, head, payload);
        const at = { term: entry.term, index: entry.index, replicas: 2 };
        done(
          level === 'majorityFsync'
            ? { status: 'applied', ...at, result }
            : { status: 'written', ...at },
        );
      });
    },
    readIndex(shard, done: (outcome: ReadOutcome) => void) {
      setImmediate(() => {
        if (leads(shard)) done({ status: 'ok', index: log(shard).entries.length });
        else done(notLeader(shard));
      });
    },
    fullDisk: () => cluster.fullDisk,
    data: (shard) => log(shard).data,
    meta: () => node.meta,
    fetch: (args, done) => fakeFetch(node, args, done),
    offsetAtTime(shard, queueId, atMs, done) {
      const { data, rows } = log(shard);
      const row = rows.find((one) => one.queueId === queueId && one.storedAtMs >= atMs);
      done(undefined, row?.baseOffset ?? data.queue(queueId)!.endOffset);
    },
    readEntry(shard, index, done) {
      setImmediate(() => done(undefined, log(shard).entries[index - 1]));
    },
    status: () => cluster.shards.map((shard) => statusOf(node, shard)),
  };
}

/** Logs that were never cut: there are no checkpoints. */
function logsOf(cluster: FakeCluster): BackupSource {
  return {
    start: () => ({ index: 0, term: 0 }),
    checkpoint(_shard, _start, _offset, _maxBytes, done) {
      done(Object.assign(new Error('no checkpoint'), { code: 'OUT_OF_RANGE' }), undefined);
    },
    entries(shard, from, to, _maxBytes, done) {
      const entries = cluster.logs.get(shard)!.entries.slice(from - 1, to);
      done(undefined, encodeEntries(shard, entries));
    },
  };
}

function subscribe<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function statusOf(node: FakeNode, shard: number): ShardStatus {
  const { cluster } = node;
  const committed = cluster.logs.get(shard)!.entries.length;
  const replicas = cluster.nodes.map((one) => ({
    node: one.id,
    matchIndex: committed,
    replica: one.id,
    role: cluster.leaders.get(shard) === one.id ? 'leader' : 'follower',
  }));
  return {
    shard,
    leader: cluster.leaders.get(shard),
    term: cluster.term,
    commitIndex: committed,
    appliedIndex: shard === 0 ? node.metaApplied : committed,
    suspect: false,
    replicas,
  };
}

function fakeFetch(
  node: FakeNode,
  args: FetchArguments,
  done: (outcome: FetchOutcome) => void,
): Cancellable {
  const { cluster, id } = node;
  const log = cluster.logs.get(args.shard)!;
  let timer: NodeJS.Timeout | undefined;
  let finished = false;
  const finish = (outcome: FetchOutcome) => {
    if (finished) return;
    finished = true;
    clearTimeout(timer);
    if (log.waiters.delete(look)) node.fetchWaiters -= 1;
    if (outcome.status === 'ok' && outcome.batches.length > 0) node.fetchesFilled += 1;
    done(outcome);
  };
  const look = (): boolean => {
    if (cluster.leaders.get(args.shard) !== id) {
      finish({ status: 'notLeader', leader: cluster.leaders.get(args.shard) });
      return true;
    }
    const queue = log.data.queue(args.queueId);
    if (queue === undefined) {
      finish({ status: 'queueNotOpen' });
      return true;
    }
    const { endOffset, startOffset } = queue;
    const offset = firstOffset(queue, args);
    if (offset < startOffset || offset > endOffset) {
      finish({ status: 'outOfRange', startOffset, endOffset });
    } else if (offset < endOffset) finish(readBatches(node, log, args));
    else return false;
    return true;
  };
  const empty = () => finish(readBatches(node, log, args));
  if (!look()) {
    if (args.waitMs === 0) empty();
    else {
      log.waiters.add(look);
      node.fetchWaiters += 1;
      timer = setTimeout(empty, args.waitMs);
    }
  }
  return { cancel: () => finish({ status: 'cancelled' }) };
}

/** Below the start of a compacted queue nothing is missing. */
function firstOffset({ compaction, startOffset }: QueueView, { offset }: FetchArguments): number {
  return compaction === undefined ? offset : Math.max(offset, startOffset);
}

function readBatches({ cluster }: FakeNode, log: ShardLog, args: FetchArguments): FetchOutcome {
  const { filter, maxMessages, queueId, shard } = args;
  const queue = log.data.queue(queueId)!;
  const { compaction, endOffset, startOffset } = queue;
  const offset = firstOffset(queue, args);
  const keys = log.data.compactedKeys;
  const visible = compaction && new VisibleMessages(compaction, keys, cluster.timeMs);
  const choice = choiceOf(filter, visible);
  const limits = {
    maxBytes: bytesToLookAt(args.maxBytes, choice),
    maxMessages: messagesToLookAt(maxMessages, choice),
  };
  let read: ReadBatches = { batches: [], nextOffset: offset };
  const request = { shard, queueId, offset, visible, ...limits };
  const reading = readerOf(log).reading(request, (error, found) => {
    if (error !== undefined) throw error;
    read = found;
  });
  reading.start();
  const found = matchingMessages(read, choice, maxMessages);
  return { status: 'ok', ...found, startOffset, endOffset };
}

/** At once: everything is in memory. */
function readerOf(log: ShardLog): QueueReader {
  const rows: RowSource = {
    isRecent: () => true,
    rowsFrom(_shard, queueId, offset, limit, onRows) {
      const isWanted = (row: QueueIndexRow) => row.queueId === queueId && endOf(row) > offset;
      onRows(undefined, log.rows.filter(isWanted).slice(0, limit));
    },
  };
  const store: ReadStore = {
    isHeldUp: false,
    read: (_shard, from) => assert.fail(`entry ${from} is in memory`),
  };
  const cachedEntries = (_: number, from: number, to: number) => log.entries.slice(from - 1, to);
  return new QueueReader(rows, { cachedEntries }, store);
}

/** Calls between the nodes of a FakeCluster, in order, each a turn of the loop away. */
export class FakePeers implements PeerNetwork {
  readonly #cluster: FakeCluster;
  readonly #node: number;
  readonly #listeners = new Set<(node: number, up: boolean) => void>();
  readonly sent: { to: number; request: PeerRequest }[] = [];
  readonly down = new Set<number>();
  /** Decides the fate of a call: an outcome instead of the call, or 'lostAfter' it was run. */
  fate:
    | ((to: number, request: PeerRequest) => PeerCallOutcome | 'lostAfter' | undefined)
    | undefined;
  cancelled = 0;

  constructor(cluster: FakeCluster, node: number) {
    this.#cluster = cluster;
    this.#node = node;
  }

  send(): void {}

  isUp(node: number): boolean {
    return !this.down.has(node);
  }

  peers(): readonly number[] {
    return this.#cluster.nodes.map((node) => node.id).filter((id) => id !== this.#node);
  }

  onPeerChange(listener: (node: number, up: boolean) => void): () => void {
    return subscribe(this.#listeners, listener);
  }

  setUp(node: number, up: boolean): void {
    if (up) this.down.delete(node);
    else this.down.add(node);
    for (const listener of [...this.#listeners]) listener(node, up);
  }

  call(
    to: number,
    request: PeerRequest,
    done: (outcome: PeerCallOutcome) => void,
  ): { cancel(): void } {
    this.sent.push({ to, request });
    let over = false;
    const finish = (outcome: PeerCallOutcome) => {
      if (over) return;
      over = true;
      done(outcome);
    };
    const fate = this.down.has(to) ? ({ status: 'notSent' } as const) : this.fate?.(to, request);
    let cancel: (() => void) | undefined;
    let cancelled = false;
    setImmediate(() => {
      if (fate !== undefined && fate !== 'lostAfter') {
        finish(fate);
        return;
      }
      const incoming: IncomingCall = {
        from: this.#node,
        request,
        onCancel(listener) {
          cancel = listener;
          if (cancelled) listener();
        },
        answer: (answer: PeerAnswer) =>
          setImmediate(() => finish(fate === 'lostAfter' ? { status: 'lost' } : answer)),
      };
      this.#cluster.node(to).service.onPeerCall(incoming);
    });
    return {
      cancel: () => {
        cancelled = true;
        this.cancelled += 1;
        cancel?.();
      },
    };
  }
}

/** The entry's command, for tests that look into the log. */
export function commandOf(entry: Entry): ReturnType<typeof decodeCommand> {
  return decodeCommand(entry.head);
}
