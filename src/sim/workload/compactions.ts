/**
 * A leader that compacts what its queues hold, by production's decision, but buckets that still
 * grow, too, for less gain, into smaller entries. Some of what it decided is proposed late, or once
 * more.
 */
import type { ProposalOutcome } from '../../../raft/driver.ts';
import type { ShardId } from '../../../raft/types.ts';
import { decodeCommand } from '../../broker/command-codec.ts';
import { bucketOf } from '../../broker/late-references.ts';
import type { ShardHost } from '../../shards/api.ts';
import { type CompactionSource, compactBucket, planOfBucket } from '../../shards/compaction.ts';
import { trimRows } from '../../shards/trim-rows.ts';
import type { SimNode } from '../node.ts';
import { compactedQueueOf } from './compacted-queues.ts';
import { entryReader, isStateOf } from './node-reads.ts';
import type { Reply, Session } from './session.ts';

const ENTRY_BYTES = [1, 60, 100_000];
const GONE_PARTS = [0, 0, 0.5];
/** Others may have changed the rows by then. */
const LATE_SHARE = 0.3;
const LATE_MAX_MS = 1000;
const AGAIN_SHARE = 0.2;

type Propose = ShardHost['propose'];

export class Compactions {
  readonly #session: Session;
  /** Begun when clients had stopped: nobody takes their leaders away any more. */
  #open = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  get isSettled(): boolean {
    return this.#open === 0;
  }

  compact(shard: ShardId): void {
    const { cluster, random } = this.#session;
    // Elsewhere logs are cut whatever lives in them.
    if (cluster.swarm.retention) return;
    const leader = cluster.leaderOf(shard);
    if (leader === undefined || leader.isPaused) return;
    const queue = leader.machine.data(shard).queue(compactedQueueOf(shard));
    if (queue === undefined || queue.endOffset === queue.startOffset) return;
    const bucket = bucketOf(random.between(queue.startOffset, queue.endOffset - 1));
    const source = this.#source(shard, leader, bucket);
    const gonePart = random.pick(GONE_PARTS);
    const thresholds = {
      isEarly: true,
      mayCompact: (hidden: number, total: number) => hidden > 0 && hidden >= total * gonePart,
      entryBytes: random.pick(ENTRY_BYTES),
    };
    const isLast = this.#session.isStopped;
    if (isLast) this.#open++;
    cluster.scheduler.promised();
    planOfBucket(source, queue, bucket, thresholds)
      .then((plan) => plan && compactBucket(source, queue, plan))
      .then(() => {
        if (isLast) this.#open--;
      })
      .catch((error: Error) => cluster.scheduler.fail(error));
  }

  #source(shard: ShardId, leader: SimNode, bucket: number): CompactionSource {
    const { flush, machine: states } = leader.machine.life;
    const data = leader.machine.data(shard);
    const bucketAt = () => data.lateBucket(compactedQueueOf(shard), bucket)?.compacted?.at;
    const compactedAt = bucketAt();
    return {
      ...{ shard, data, nowMs: states.timeMs(shard) },
      ...trimRows(flush, shard),
      mayGoOn: () => true,
      host: {
        readEntry: entryReader(leader),
        propose: (...proposal) => this.#proposeSoon(leader, proposal),
      },
      onDamage: (error) => {
        // A read that failed once says nothing about what lies there.
        const isBadDisk = leader.disk.flips.isAny || error.message.includes('EIO');
        const isSame = bucketAt() === compactedAt && isStateOf(leader, shard, data);
        if (isSame && !isBadDisk) this.#session.cluster.scheduler.fail(error);
      },
    };
  }

  #proposeSoon(leader: SimNode, proposal: Parameters<Propose>): void {
    const { random } = this.#session;
    const isLate = !this.#session.isStopped && random.chance(LATE_SHARE);
    if (!isLate) this.#propose(leader, proposal);
    else this.#session.after(LATE_MAX_MS, () => this.#propose(leader, proposal));
  }

  #propose(leader: SimNode, [shard, head, messages, level, done]: Parameters<Propose>): void {
    const request = { command: decodeCommand(head), messages, level };
    this.#session.request(shard, request, (reply) => done(this.#outcome(reply)), leader);
    const { isStopped, random } = this.#session;
    if (isStopped || !random.chance(AGAIN_SHARE)) return;
    const again = () =>
      this.#session.request(shard, request, (reply) => void this.#outcome(reply), leader);
    this.#session.after(LATE_MAX_MS, again);
  }

  #outcome(reply: Reply): ProposalOutcome {
    if (reply.status !== 'applied') return { status: 'unknown', reason: 'deposed' };
    const { index, result } = reply;
    const isMoved = result.type === 'copied' && result.moved;
    const point = isMoved ? 'rows compacted' : 'stale compaction refused';
    this.#session.cluster.judge.coverage.reach(point);
    return { status: 'applied', term: 0, index, result, replicas: 0 };
  }
}
