/** Linearisable reads: a ReadIndex, then a look at the state of the very node that answered. */
import type { ShardId } from '../../../raft/types.ts';
import type { QueueId } from '../../broker/commands.ts';
import type { SimNode } from '../node.ts';
import { groupOf, TOPIC_ID } from './groups.ts';
import type { Moment } from './history.ts';
import type { Session } from './session.ts';

export class Readers {
  readonly #session: Session;
  answered = 0;

  constructor(session: Session) {
    this.#session = session;
  }

  read(shard: ShardId, queueIds: readonly QueueId[]): void {
    const { judge } = this.#session.cluster;
    const target = this.#session.target(shard);
    const invokedAt = this.#session.history.now();
    const floor = judge.reads.floor(shard);
    target.request((driver) =>
      driver.readIndex(shard, (outcome) => {
        if (outcome.status !== 'ok') {
          judge.coverage.reach('read lost');
          return;
        }
        judge.reads.answered(shard, floor, outcome.index, target.machine.appliedIndex(shard));
        judge.coverage.reach('read confirmed');
        this.answered++;
        this.#look(shard, target, invokedAt, queueIds);
      }),
    );
  }

  #look(
    shard: ShardId,
    { machine }: SimNode,
    invokedAt: Moment,
    queueIds: readonly QueueId[],
  ): void {
    const { history } = this.#session;
    const completedAt = history.now();
    const data = machine.data(shard);
    for (const queueId of queueIds) {
      const { startOffset = 0, endOffset = 0 } = data.queue(queueId) ?? {};
      history.reads.push({ queueId, invokedAt, completedAt, startOffset, endOffset });
    }
    const group = groupOf(shard);
    const offset = data.groupOffsets(group, TOPIC_ID)[0]?.offset ?? 0;
    const epoch = data.groupEpoch(group) ?? 0;
    history.offsetReads.push({ group, topicId: TOPIC_ID, queue: 0, invokedAt, epoch, offset });
  }
}
