/**
 * Outcomes on their way between shards: coordinators tell participants, participants that hear
 * nothing ask. What is told, and answered, is production's decision; how it travels is not: answers
 * get lost, outcomes are told again long afterwards.
 */
import type { ShardId } from '../../../raft/types.ts';
import {
  answerAbout,
  outcomesToAsk,
  outcomesToTell,
  type Resolve,
  resolvedBy,
} from '../../broker/outcomes.ts';
import type { GlobalTransactionId } from '../../broker/transaction-commands.ts';
import { isOpen } from '../../broker/transactions.ts';
import type { SimNode } from '../node.ts';
import type { Session } from './session.ts';

const LOOK_EVERY_MS = 100;
const ASK_SHARE = 0.2;
/** Production waits a minute. */
const ASK_AFTER_MS = 800;
const LIMIT = 8;
const LOST_SHARE = 0.15;
const AGAIN_SHARE = 0.3;
const AGAIN_WITHIN_MS = 3000;

export class Tellers {
  readonly #session: Session;
  readonly #shards: readonly ShardId[];
  /** `from>to`, both shards. */
  readonly #busy = new Set<string>();

  constructor(session: Session, shards: readonly ShardId[]) {
    this.#session = session;
    this.#shards = shards;
  }

  /** Every outcome is applied by everybody, and nothing is held that has one. */
  get isSettled(): boolean {
    return this.#shards.every((shard) => {
      const leader = this.#session.cluster.leaderOf(shard);
      if (leader === undefined) return false;
      const data = leader.machine.data(shard);
      for (const _ of data.unresolved()) return false;
      return [...data.heldSince(Number.MAX_SAFE_INTEGER)].every((id) => this.#isUndecided(id));
    });
  }

  #isUndecided(id: GlobalTransactionId): boolean {
    const found = this.#session.cluster.leaderOf(id.shard)?.machine.data(id.shard).coordinated(id);
    return found !== undefined && isOpen(found);
  }

  start(): void {
    for (const shard of this.#shards) this.#look(shard);
  }

  #look(shard: ShardId): void {
    const { cluster, random } = this.#session;
    const leader = cluster.leaderOf(shard);
    if (leader !== undefined && !leader.isPaused) {
      this.#tell(leader, shard);
      if (random.chance(ASK_SHARE)) this.#ask(leader, shard);
    }
    this.#session.after(2 * LOOK_EVERY_MS, () => this.#look(shard));
  }

  #tell(leader: SimNode, shard: ShardId): void {
    const isBusy = (to: ShardId) => this.#busy.has(`${shard}>${to}`);
    const batches = outcomesToTell(shard, leader.machine.data(shard), isBusy, LIMIT);
    for (const [to, batch] of batches) {
      const way = `${shard}>${to}`;
      this.#busy.add(way);
      let left = batch.length;
      for (const told of batch) {
        this.#resolve(to, told, () => {
          left--;
          if (left === 0) this.#busy.delete(way);
        });
      }
    }
  }

  #resolve(to: ShardId, told: Resolve, settled: () => void): void {
    const { cluster, isStopped, random } = this.#session;
    if (!isStopped && random.chance(AGAIN_SHARE)) this.#tellAgain(to, told);
    this.#session.request(to, { command: told }, (reply) => {
      const isDone = reply.status === 'applied' && reply.result.type === 'resolved';
      if (!isDone || (!isStopped && random.chance(LOST_SHARE))) {
        settled();
        return;
      }
      const command = resolvedBy(to, told, reply.result.shown);
      const { shard } = told.transaction;
      cluster.judge.coverage.reach('outcome told to a participant');
      this.#session.request(shard, { command }, settled);
    });
  }

  #tellAgain(to: ShardId, told: Resolve): void {
    this.#session.after(AGAIN_WITHIN_MS, () =>
      this.#session.request(to, { command: told }, (reply) => {
        if (reply.status !== 'applied') return;
        this.#session.cluster.judge.coverage.reach('outcome told again');
      }),
    );
  }

  #ask(leader: SimNode, shard: ShardId): void {
    // Where most clocks were set back, the time of a shard may stand still for an hour.
    const nowMs = leader.driver!.shardTimeMs(shard);
    const sinceMs = this.#session.isStopped ? Number.MAX_SAFE_INTEGER : nowMs - ASK_AFTER_MS;
    for (const [coordinator, ids] of outcomesToAsk(leader.machine.data(shard), sinceMs)) {
      this.#askOne(coordinator, this.#session.random.pick(ids), shard);
    }
  }

  /** Only a leader that proved itself after the question may say that it knows nothing. */
  #askOne(coordinator: ShardId, id: GlobalTransactionId, shard: ShardId): void {
    const target = this.#session.target(coordinator);
    target.request((driver) =>
      driver.readIndex(coordinator, (outcome) => {
        if (outcome.status !== 'ok') return;
        const command = answerAbout(target.machine.data(coordinator), id, shard);
        if (command === null) return;
        this.#session.request(shard, { command }, (reply) => {
          if (reply.status !== 'applied') return;
          this.#session.cluster.judge.coverage.reach('outcome asked for');
        });
      }),
    );
  }
}
