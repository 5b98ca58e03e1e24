/**
 * Leaders do what is due in their shards, by production's choice: delayed messages are shown, half
 * messages parked, preparations that stopped half way aborted, deliveries buried. Now and then one
 * names what is not due: nothing may come of it.
 */
import type { ShardId } from '../../../raft/types.ts';
import type { Command } from '../../broker/commands.ts';
import { firstDue } from '../../shards/due-sources.ts';
import type { SimNode } from '../node.ts';
import type { Reply, Session } from './session.ts';

const LOOK_EVERY_MS = 150;
const WRONG_SHARE = 0.06;
const NAMED_MAX = 3;

export class Sweeps {
  readonly #session: Session;
  readonly #shards: readonly ShardId[];

  constructor(session: Session, shards: readonly ShardId[]) {
    this.#session = session;
    this.#shards = shards;
  }

  /**
   * Nothing that is due waits any more. Where most clocks were set back, the time of a shard stands
   * still for as long: what falls due later then waits beyond the run.
   */
  get isSettled(): boolean {
    const { cluster } = this.#session;
    return this.#shards.every((shard) => {
      const leader = cluster.leaderOf(shard);
      if (leader === undefined) return false;
      const first = firstDue(leader.machine.data(shard));
      return first === undefined || first.atMs > nowMs(leader, shard);
    });
  }

  start(): void {
    for (const shard of this.#shards) this.#look(shard);
  }

  /** Until the run ends: also what clients heard nothing of has to be done. */
  #look(shard: ShardId): void {
    const leader = this.#session.cluster.leaderOf(shard);
    const isAtWork = leader !== undefined && !leader.isPaused && leader.isUp;
    const command = isAtWork ? this.#command(leader, shard) : undefined;
    if (command !== undefined) {
      const done = (reply: Reply) => this.#swept(command, reply);
      this.#session.request(shard, { command }, done, leader);
    }
    this.#session.after(2 * LOOK_EVERY_MS, () => this.#look(shard));
  }

  #command(leader: SimNode, shard: ShardId): Command | undefined {
    const { isStopped, random } = this.#session;
    if (!isStopped && random.chance(WRONG_SHARE)) return this.#wrong(leader, shard);
    const now = nowMs(leader, shard);
    const first = firstDue(leader.machine.data(shard));
    return first === undefined || first.atMs > now ? undefined : first.command(now);
  }

  #wrong({ machine }: SimNode, shard: ShardId): Command | undefined {
    const data = machine.data(shard);
    const open = [...data.openTransactions(0)].map(({ id }) => id).slice(-NAMED_MAX);
    switch (this.#session.random.between(0, 3)) {
      case 0: {
        const batches = data.dueDelayed(Number.MAX_SAFE_INTEGER, NAMED_MAX);
        return batches.length === 0 ? undefined : { type: 'deliver', batches };
      }
      case 1:
        return open.length === 0 ? undefined : { type: 'park', transactions: open };
      case 2: {
        const [id] = open;
        const transaction = { by: 'id', id: id ?? { term: 0, index: 0 } } as const;
        const what = { type: 'end', producerGroup: '', decision: 'rollback' } as const;
        return id === undefined ? undefined : { ...what, transaction, by: 'timeout' };
      }
      default: {
        const deliveries = [...data.deliveries.subscriptions()].flatMap(({ group, queueId }) => {
          const pending = [...data.deliveries.pending(group, queueId)].slice(0, NAMED_MAX);
          return pending.map(({ offset }) => ({ group, queueId, offset }));
        });
        return deliveries.length === 0 ? undefined : { type: 'expire', deliveries };
      }
    }
  }

  #swept(command: Command, reply: Reply): void {
    if (reply.status !== 'applied') return;
    const { coverage } = this.#session.cluster.judge;
    const { result } = reply;
    if (result.type === 'parked' && result.count > 0) coverage.reach('half message parked');
    if (result.type === 'buried' && result.count > 0) coverage.reach('last lease ran out');
    const isAbort = command.type === 'end' && result.type === 'ended';
    if (isAbort && result.state === 'rolledBack') coverage.reach('preparation given up');
  }
}

function nowMs(leader: SimNode, shard: ShardId): number {
  return leader.driver!.shardTimeMs(shard);
}
