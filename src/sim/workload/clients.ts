/** All clients of one run: what they do, how often, and when they are content. */
import type { ProposalLevel } from '../../../raft/driver.ts';
import type { ShardId } from '../../../raft/types.ts';
import { Durability, type QueueId } from '../../broker/commands.ts';
import type { SimCluster } from '../cluster.ts';
import type { SimNode } from '../node.ts';
import type { Random } from '../random.ts';
import { Abandoned } from './abandoned.ts';
import { Checkers } from './checkers.ts';
import { CompactedQueues } from './compacted-queues.ts';
import { Delays } from './delays.ts';
import { Group, TOPIC_ID } from './groups.ts';
import { Keys } from './keys.ts';
import { Lane } from './lane.ts';
import { Readers } from './readers.ts';
import { Receivers } from './receivers.ts';
import { Retention } from './retention.ts';
import { type Reply, Session } from './session.ts';
import { ShortQueues } from './short-queues.ts';
import { Spanning } from './spanning.ts';
import { Sweeps } from './sweeps.ts';
import { Team } from './teams.ts';
import { Tellers } from './tellers.ts';
import { Transactions } from './transactions.ts';

const LEVELS: readonly ProposalLevel[] = ['majorityFsync', 'majorityFsync', 'majority', 'leader'];
const QUEUES_PER_SHARD = 2;
const PADDING_MAX_BYTES = 150;
/** Proposals that arrive in one turn and must share one flush. */
const BURST_MAX = 8;
const OPEN_AGAIN_MS = 300;
/** What members do is small, and much has to come together. */
const MEMBER_TURNS = 3;
const RECEIVER_TURNS = 4;

export const OPERATIONS = [
  'plain',
  'idempotent',
  'keyed',
  'compacted',
  'transaction',
  'spanning',
  'checks',
  'delayed',
  'offsets',
  'rewind',
  'groupMembers',
  'receive',
  'trim',
  'queues',
  'read',
] as const;
export type Operation = (typeof OPERATIONS)[number];

/** Of a hundred. Reads have a pace of their own, checks come of what is undecided. */
const WEIGHTS: Readonly<Record<Exclude<Operation, 'read' | 'checks'>, number>> = {
  plain: 18,
  idempotent: 20,
  keyed: 5,
  compacted: 6,
  transaction: 9,
  spanning: 7,
  delayed: 6,
  offsets: 6,
  rewind: 2,
  groupMembers: 6,
  receive: 10,
  trim: 3,
  queues: 2,
};

interface Shard {
  readonly shard: ShardId;
  readonly queueIds: readonly QueueId[];
  readonly lanes: readonly Lane[];
  readonly group: Group;
  readonly team: Team;
  readonly receivers: readonly Receivers[];
}

export class SimClients {
  readonly session: Session;
  readonly #cluster: SimCluster;
  readonly #random: Random;
  readonly #shards: readonly Shard[];
  readonly #transactions: Transactions;
  readonly #spanning: Spanning;
  readonly #checkers: Checkers;
  readonly #tellers: Tellers;
  readonly #sweeps: Sweeps;
  readonly #delays: Delays;
  readonly #keys: Keys;
  readonly #compacted: CompactedQueues;
  readonly #readers: Readers;
  readonly #retention: Retention;
  readonly #shortQueues: ShortQueues;
  readonly #without: ReadonlySet<Operation>;
  #unopened = 0;

  constructor(cluster: SimCluster, random: Random, without: readonly Operation[] = []) {
    this.#cluster = cluster;
    this.#random = random;
    this.#without = new Set(without);
    const session = new Session(cluster, random.fork());
    this.session = session;
    cluster.onFlood = (node, shard, count) => this.#flood(node, shard, count);
    const abandoned = new Abandoned();
    this.#transactions = new Transactions(session, abandoned);
    this.#checkers = new Checkers(session, abandoned);
    this.#tellers = new Tellers(session, cluster.dataShards);
    this.#sweeps = new Sweeps(session, cluster.dataShards);
    this.#delays = new Delays(session);
    this.#keys = new Keys(session);
    this.#compacted = new CompactedQueues(session, (shard) => this.#trim(shard));
    this.#readers = new Readers(session);
    this.#retention = new Retention(session);
    this.#shortQueues = new ShortQueues(session, (shard, queueId) => this.#plain(shard, queueId));
    this.#shards = cluster.dataShards.map((shard) => {
      const queueIds = Array.from(
        { length: QUEUES_PER_SHARD },
        (_, at) => QUEUES_PER_SHARD * shard + at + 1,
      );
      const lanes = queueIds.map((queueId) => new Lane(session, shard, queueId));
      const groups = { group: new Group(session, shard), team: new Team(session, shard) };
      const [many, inLine] = queueIds as [QueueId, QueueId];
      const receivers = [
        new Receivers(session, shard, many, false),
        new Receivers(session, shard, inLine, true),
      ];
      return { shard, queueIds, lanes, receivers, ...groups };
    });
    const homes = this.#shards.flatMap(({ shard, queueIds }) =>
      queueIds.map((queueId) => ({ shard, queueId })),
    );
    this.#spanning = new Spanning(session, homes, abandoned);
  }

  get proposals(): number {
    return this.session.proposals;
  }

  get reads(): number {
    return this.#readers.answered;
  }

  /** Nothing waits to be sent again, every queue is open. */
  get isSettled(): boolean {
    const isSent = this.#shards.every(({ lanes }) => lanes.every(({ isSettled }) => isSettled));
    const queues = [this.#shortQueues, this.#compacted];
    const parts = [this.#transactions, this.#spanning, this.#delays, ...queues];
    const isEnded = parts.every((part) => part.isSettled) && this.#unopened === 0;
    return isSent && isEnded && this.#tellers.isSettled && this.#sweeps.isSettled;
  }

  start(): void {
    for (const { shard, queueIds } of this.#shards) {
      queueIds.forEach((queueId, queue) => {
        this.#unopened++;
        this.#open(shard, queueId, queue);
      });
    }
    if (!this.#without.has('compacted')) this.#compacted.start(this.#cluster.dataShards);
    this.#sweeps.start();
    this.#tellers.start();
    if (!this.#without.has('checks')) this.#checkers.start(this.#cluster.dataShards);
    const { proposalsPerSecond, readsPerSecond } = this.#cluster.swarm;
    this.#repeat(proposalsPerSecond, () => this.#act());
    this.#repeat(readsPerSecond, () => this.#read());
  }

  /** Nothing new is begun; what is under way goes on until it is answered. */
  stop(): void {
    this.session.isStopped = true;
  }

  /** Once all is well. */
  compactAll(): void {
    this.#compacted.compactAll(this.#cluster.dataShards);
  }

  /** What compaction left, everywhere. */
  readAll(): void {
    this.#compacted.readAll(this.#cluster.dataShards);
  }

  #open(shard: ShardId, queueId: QueueId, queue: number): void {
    const command = { type: 'openQueue', queueId, topicId: TOPIC_ID, queue } as const;
    this.session.request(shard, { command }, (reply) => {
      if (reply.status === 'applied') this.#unopened--;
      else this.session.after(OPEN_AGAIN_MS, () => this.#open(shard, queueId, queue));
    });
  }

  #repeat(perSecond: number, act: () => void): void {
    if (perSecond === 0) return;
    const delayMs = (this.#random.next() * 2000) / perSecond;
    this.#cluster.scheduler.after(delayMs, () => {
      if (this.session.isStopped) return;
      act();
      this.#repeat(perSecond, act);
    });
  }

  #act(): void {
    const operation = this.#draw();
    const shard = this.#random.pick(this.#shards);
    const at = this.#random.between(0, QUEUES_PER_SHARD - 1);
    const burst = this.#random.chance(0.2) ? this.#random.between(2, BURST_MAX) : 1;
    if (this.#without.has(operation)) return;
    switch (operation) {
      case 'plain':
        for (let left = burst; left > 0; left--) this.#plain(shard.shard, shard.queueIds[at]!);
        break;
      case 'idempotent':
        for (let left = burst; left > 0; left--) shard.lanes[at]!.send();
        break;
      case 'keyed':
        this.#keys.send(shard.shard, shard.queueIds[at]!);
        break;
      case 'compacted':
        this.#compacted.act(shard.shard);
        break;
      case 'transaction':
        this.#transactions.begin(shard.shard, shard.queueIds[at]!);
        break;
      case 'spanning':
        this.#spanning.act();
        break;
      case 'delayed':
        this.#delays.send(shard.shard, shard.queueIds[at]!);
        break;
      case 'offsets':
        shard.group.commit();
        break;
      case 'rewind':
        shard.group.reset();
        break;
      case 'groupMembers':
        for (let left = MEMBER_TURNS; left > 0; left--) shard.team.act();
        break;
      case 'receive':
        for (let left = RECEIVER_TURNS; left > 0; left--) shard.receivers[at]!.act();
        break;
      case 'trim':
        this.#trim(shard.shard);
        break;
      case 'queues':
        this.#shortQueues.begin(shard.shard);
        break;
      default:
    }
  }

  #trim(shard: ShardId): void {
    if (!this.#without.has('trim')) this.#retention.trim(shard);
  }

  #draw(): Operation {
    let left = this.#random.next() * 100;
    for (const [operation, weight] of Object.entries(WEIGHTS)) {
      left -= weight;
      if (left < 0) return operation as Operation;
    }
    return 'plain';
  }

  #read(): void {
    const { shard, queueIds } = this.#random.pick(this.#shards);
    if (!this.#without.has('read')) this.#readers.read(shard, queueIds);
  }

  #flood(node: SimNode, shard: ShardId, count: number): void {
    const { queueIds } = this.#shards.find((one) => one.shard === shard)!;
    if (this.session.isStopped || this.#without.has('plain')) return;
    const quiet = (): void => {};
    for (let left = count; left > 0; left--) {
      this.#plain(shard, this.#random.pick(queueIds), quiet, node);
    }
  }

  #plain(
    shard: ShardId,
    queueId: QueueId,
    onOk: () => void = () => {},
    target = this.session.target(shard),
    level = this.#random.pick(LEVELS),
  ): void {
    const { history } = this.session;
    const batch = history.name('b');
    const sent = history.sends({ kind: 'plain', client: 'plain', queueId, batch, count: 1 });
    const durability = Durability[level];
    const command = {
      type: 'produce',
      queueId,
      count: 1,
      durability,
      producer: undefined,
    } as const;
    const paddingBytes = this.#random.between(0, PADDING_MAX_BYTES);
    const done = (reply: Reply): void => {
      if (reply.status === 'unknown') return;
      if (reply.status === 'weak') {
        sent.outcome = 'weak';
        return;
      }
      if (reply.status === 'applied' && reply.result.type === 'produced') {
        history.acked(sent, reply.result.baseOffset);
        onOk();
      } else history.failed(sent);
    };
    this.session.request(shard, { command, batch, paddingBytes, level }, done, target);
  }

  /** One more message, to see whether the shard works; a weaker level would not tell. */
  probe(shard: ShardId, onOk: () => void): void {
    const target = this.session.target(shard);
    this.#plain(shard, QUEUES_PER_SHARD * shard + 1, onOk, target, 'majorityFsync');
  }
}
