/** What an operator may ask about retention: what it would take, and what keeps this node's log. */
import type { RaftDriver } from '../../raft/driver.ts';
import type { LogIndex, NodeId, ShardId } from '../../raft/types.ts';
import type { QueueId } from '../broker/commands.ts';
import type { World } from '../clock.ts';
import type { DiskLevel, TopicConfig } from '../cluster/api.ts';
import type { RetentionConfig } from '../config.ts';
import type { NodeStorage } from '../node-storage.ts';
import type { DiskLevels } from './disk-levels.ts';
import { isNearlyFull } from './disk-meter.ts';
import { type HeldLog, heldLog } from './held-log.ts';
import { RetentionClock } from './retention-clock.ts';
import { planQueue, type QueuePlan } from './retention-plan.ts';
import type { LocalShardHost } from './shard-host.ts';
import { META_SHARD, type ShardMachine } from './shard-machine.ts';
import type { CheckpointSnapshots } from './snapshot-store.ts';
import type { StateFlush } from './state-flush.ts';
import { trimRows } from './trim-rows.ts';

export interface PlanQuestion {
  readonly queueId: QueueId;
  readonly config: TopicConfig;
  /** How full the fullest disk of the shard is taken to be; absent = as it is. */
  readonly disk?: DiskLevel;
}

/** The commit log of one node. */
export interface NodeLog {
  readonly bytes: number;
  readonly shards: readonly HeldLog[];
}

/** As the service asks it. */
export interface RetentionPort {
  /** On the leader of the shard. undefined = the queue is not open. */
  plan(shard: ShardId, question: PlanQuestion): Promise<QueuePlan | undefined>;
  nodeLog(): Promise<NodeLog>;
}

export interface RetentionReportParts {
  readonly host: LocalShardHost;
  readonly driver: RaftDriver;
  readonly machine: ShardMachine;
  readonly flush: StateFlush;
  readonly disks: DiskLevels;
  readonly storage: NodeStorage;
  readonly snapshots: Pick<CheckpointSnapshots, 'isSending'>;
  readonly config: RetentionConfig;
  readonly world: Pick<World, 'clock'>;
}

export class RetentionReports implements RetentionPort {
  readonly #parts: RetentionReportParts;
  readonly #clock: RetentionClock;

  constructor(parts: RetentionReportParts) {
    this.#parts = parts;
    const { clock } = parts.world;
    this.#clock = new RetentionClock({ wallMs: clock.wallMs, monotonicMs: clock.nowMs });
  }

  async plan(shard: ShardId, question: PlanQuestion): Promise<QueuePlan | undefined> {
    const { disks, flush, host } = this.#parts;
    const { config, disk = disks.of(shard), queueId } = question;
    const queue = host.data(shard).queue(queueId);
    if (queue === undefined) return undefined;
    const nowMs = this.#clock.nowMs(host.shardTimeMs(shard));
    const { compactedKeys } = host.data(shard);
    const mayGoEarly = isNearlyFull(disk);
    const asked = { nowMs, mayGoEarly, compactedKeys, topicConfig: () => config };
    return planQueue({ ...asked, ...trimRows(flush, shard) }, queue);
  }

  async nodeLog(): Promise<NodeLog> {
    const { driver, storage } = this.#parts;
    const shards: HeldLog[] = [];
    for (const shard of driver.shards()) {
      // One that leaves this node meanwhile is left out.
      const held = await this.#held(shard).catch((error) => {
        if (driver.holds(shard)) throw error;
      });
      if (held !== undefined) shards.push(held);
    }
    shards.sort((a, b) => b.bytes - a.bytes || entriesOf(b) - entriesOf(a));
    return { bytes: storage.log.bytesOnDisk(), shards };
  }

  #held(shard: ShardId): Promise<HeldLog> {
    const { driver, flush, host, machine, snapshots, storage } = this.#parts;
    const { applied, lastIndex } = driver.status(shard);
    return heldLog({
      ...{ shard, applied, lastIndex },
      bytes: storage.log.bytesHeldBy(shard),
      startIndex: driver.logStart(shard).index,
      trimIndex: machine.logTrim(shard),
      data: shard === META_SHARD ? undefined : host.data(shard),
      isSendingSnapshot: snapshots.isSending(shard),
      slowest: this.#slowest(shard),
      rowAt: trimRows(flush, shard).rowAt,
    });
  }

  /** Only the leader knows, and only of those that it waits for. */
  #slowest(shard: ShardId): { node: NodeId; matched: LogIndex } | undefined {
    const { config, driver, host } = this.#parts;
    if (!driver.isReady(shard)) return undefined;
    const matched = driver.matchedByAll(shard, config.slowReplicaGraceMs);
    const { replicas } = driver.status(shard);
    const slow = replicas.find(({ matchIndex }) => matchIndex === matched);
    // None: it is this node's own disk that is behind.
    return { node: slow?.node ?? host.node, matched };
  }
}

function entriesOf({ lastIndex, startIndex }: HeldLog): number {
  return lastIndex - startIndex;
}
