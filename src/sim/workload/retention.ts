/**
 * A leader that deletes what is old or too much, by production's decision: start offsets rise, and
 * never above what was asked for.
 */
import type { ShardId } from '../../../raft/types.ts';
import { decideTrim, type TrimProposal } from '../../shards/retention.ts';
import { trimRows } from '../../shards/trim-rows.ts';
import type { SimNode } from '../node.ts';
import type { Session } from './session.ts';

const RETENTIONS_MS = [0, 300, 2000];
const RETENTIONS_BYTES = [0, 300, 3000];
const SLOW_REPLICA_GRACE_MS = 1000;

export class Retention {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  trim(shard: ShardId): void {
    const { cluster } = this.#session;
    // Elsewhere logs are cut whatever lives in them: nothing could be decided by their rows.
    if (cluster.swarm.retention) return;
    const leader = cluster.leaderOf(shard);
    if (leader === undefined || leader.isPaused) return;
    const propose = (proposal: TrimProposal | undefined): void => {
      if (proposal !== undefined && leader.isUp) this.#propose(shard, leader, proposal);
    };
    cluster.scheduler.promised();
    this.#decide(shard, leader)
      .then(propose)
      .catch((error: Error) => cluster.scheduler.fail(error));
  }

  #decide(shard: ShardId, { disk, driver, machine }: SimNode): Promise<TrimProposal | undefined> {
    const { random, cluster } = this.#session;
    const { flush, machine: states } = machine.life;
    const config = {
      retentionMs: random.pick(RETENTIONS_MS),
      retentionBytes: random.pick(RETENTIONS_BYTES),
      durability: 1,
    } as const;
    return decideTrim({
      shard,
      data: machine.data(shard),
      nowMs: states.timeMs(shard),
      matchedByAll: driver!.matchedByAll(shard, SLOW_REPLICA_GRACE_MS),
      applied: driver!.status(shard).applied,
      logTrim: states.logTrim(shard),
      isHoldingLog: random.chance(0.5),
      topicConfig: () => config,
      onDamage: (error) => {
        if (!disk.flips.isAny) cluster.scheduler.fail(error);
      },
      ...trimRows(flush, shard),
    });
  }

  #propose(shard: ShardId, leader: SimNode, { queues, logTrim }: TrimProposal): void {
    const { history, cluster } = this.#session;
    const command = { type: 'trim', queues, logTrim } as const;
    const done = (): void => {
      if (queues.length > 0) cluster.judge.coverage.reach('messages trimmed');
      const completedAt = history.now();
      for (const { queueId, startOffset } of queues) {
        history.trims.push({ queueId, startOffset, completedAt });
      }
    };
    this.#session.request(
      shard,
      { command },
      ({ status }) => {
        if (status === 'applied') done();
      },
      leader,
    );
  }
}
