/** A consumer group that commits rising offsets, and now and then one that it is past already. */
import type { ShardId } from '../../../raft/types.ts';
import { expect } from '../failure.ts';
import type { Session } from './session.ts';

const STEP_MAX = 5;
const FALL_SHARE = 0.2;

export const TOPIC_ID = '7';

export function groupOf(shard: ShardId): string {
  return `group-${shard}`;
}

export class Group {
  readonly #session: Session;
  readonly #shard: ShardId;
  #highest = 0;
  #acked = 0;

  constructor(session: Session, shard: ShardId) {
    this.#session = session;
    this.#shard = shard;
  }

  commit(): void {
    const { random } = this.#session;
    const falls = this.#acked > 1 && random.chance(FALL_SHARE);
    if (falls) this.#commit(random.between(0, this.#acked - 1));
    else {
      this.#highest += random.between(1, STEP_MAX);
      this.#commit(this.#highest);
    }
  }

  #commit(offset: number): void {
    const { history, cluster } = this.#session;
    const where = { group: groupOf(this.#shard), topicId: TOPIC_ID };
    const floor = this.#acked;
    const command = { type: 'commitOffsets', ...where, offsets: [{ queue: 0, offset }] } as const;
    this.#session.request(this.#shard, { command }, (reply) => {
      if (reply.status !== 'applied') return;
      if (reply.result.type === 'refused') {
        cluster.judge.coverage.reach('fallen offset refused');
        return;
      }
      expect(offset >= floor, 'offset-falls', () => `${where.group}: ${floor}, now ${offset}`);
      this.#acked = Math.max(this.#acked, offset);
      history.commits.push({ ...where, queue: 0, offset, completedAt: history.now() });
    });
  }
}
