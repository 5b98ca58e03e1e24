/**
 * A consumer group that commits rising offsets, now and then one that it is past already, and is
 * put somewhere else at times: that begins another epoch.
 */
import type { ShardId } from '../../../raft/types.ts';
import type { ApplyResult, Command } from '../../broker/commands.ts';
import { expect } from '../failure.ts';
import { isBefore, type Stand } from './history.ts';
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
  #acked: Stand = { epoch: 0, offset: 0 };

  constructor(session: Session, shard: ShardId) {
    this.#session = session;
    this.#shard = shard;
  }

  commit(): void {
    const { random } = this.#session;
    const { offset } = this.#acked;
    const falls = offset > 1 && random.chance(FALL_SHARE);
    if (!falls) this.#highest += random.between(1, STEP_MAX);
    this.#ask('commitOffsets', falls ? random.between(0, offset - 1) : this.#highest);
  }

  /** Anywhere, also back. */
  reset(): void {
    this.#ask('resetOffsets', this.#session.random.between(0, this.#highest));
  }

  #ask(type: 'commitOffsets' | 'resetOffsets', offset: number): void {
    const where = { group: groupOf(this.#shard), topicId: TOPIC_ID };
    const floor = this.#acked;
    const command: Command = { type, ...where, offsets: [{ queue: 0, offset }] };
    this.#session.request(this.#shard, { command }, (reply) => {
      if (reply.status === 'applied') this.#answered(type, floor, offset, reply.result);
    });
  }

  #answered(type: string, floor: Stand, offset: number, result: ApplyResult): void {
    const { history, cluster } = this.#session;
    const { coverage } = cluster.judge;
    if (result.type === 'refused') {
      if (result.refusal.reason === 'OFFSET_FALLS') coverage.reach('fallen offset refused');
      return;
    }
    expect(result.type === 'offsets', 'offset-falls', () => `answered with ${result.type}`);
    if (result.type !== 'offsets') return;
    const stand = { epoch: result.epoch, offset };
    const where = { group: groupOf(this.#shard), topicId: TOPIC_ID, queue: 0 };
    const text = () => `${where.group}: ${JSON.stringify([floor, stand])}`;
    expect(!isBefore(stand, floor), 'offset-falls', text);
    const isReset = type === 'resetOffsets';
    expect(!isReset || stand.epoch > floor.epoch, 'reset-epoch', text);
    if (isReset) coverage.reach('offsets reset');
    if (isBefore(this.#acked, stand)) this.#acked = stand;
    history.commits.push({ ...where, ...stand, completedAt: history.now() });
  }
}
