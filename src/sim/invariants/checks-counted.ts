/**
 * Checks and parking, told from the log alone: only checks that were delivered count, each once;
 * who had all of them is parked when it is due again, not before; and a parked one stays until an
 * operator or its producers decide it.
 */
import type { Entry, LogIndex, ShardId, ShardTimeMs } from '../../../raft/types.ts';
import type { DataShard } from '../../broker/api.ts';
import type { ApplyResult, Command, TransactionId } from '../../broker/commands.ts';
import { DEFAULT_MAX_CHECKS } from '../../broker/transaction-commands.ts';
import { expect } from '../failure.ts';

type CommandOf<Type extends Command['type']> = Extract<Command, { type: Type }>;

interface Checked {
  readonly id: TransactionId;
  readonly producerGroup: string;
  readonly maxChecks: number;
  readonly firstCheckAfterMs: number;
  readonly checkIntervalMs: number;
  state: 'preparing' | 'undecided' | 'parked';
  count: number;
  /** The entry of its last lease, until that counts; 0 = none. */
  lease: LogIndex;
  dueAtMs: ShardTimeMs;
}

export class ChecksCounted {
  /** Without an outcome, by shard and the index of their first entry. */
  readonly #open = new Map<string, Checked>();

  applied(shard: ShardId, entry: Entry, command: Command, result: ApplyResult): void {
    if (result.type === 'refused') return;
    switch (command.type) {
      case 'prepare':
      case 'begin':
        this.#began(shard, entry, command, result);
        break;
      case 'prepared':
        if (result.type === 'prepared' && !result.duplicate) this.#prepared(shard, entry, command);
        break;
      case 'leaseChecks':
        this.#leased(shard, entry, command, result);
        break;
      case 'checksDelivered':
        this.#delivered(shard, command, result);
        break;
      case 'park':
        this.#parked(shard, entry, command, result);
        break;
      case 'resume':
        this.#resumed(shard, entry, command);
        break;
      case 'end':
        this.#ended(shard, entry, command, result);
        break;
      default:
    }
  }

  #began(
    shard: ShardId,
    entry: Entry,
    command: CommandOf<'prepare' | 'begin'>,
    result: ApplyResult,
  ): void {
    if (result.type !== 'prepared' || result.duplicate) return;
    const { producerGroup, firstCheckAfterMs, checkIntervalMs } = command;
    this.#open.set(`${shard}/${result.id.index}`, {
      ...{ id: result.id, producerGroup, firstCheckAfterMs, checkIntervalMs },
      maxChecks: command.maxChecks ?? DEFAULT_MAX_CHECKS,
      state: command.type === 'begin' ? 'preparing' : 'undecided',
      ...{ count: 0, lease: 0, dueAtMs: entry.timeMs + firstCheckAfterMs },
    });
  }

  #prepared(shard: ShardId, entry: Entry, { transaction }: CommandOf<'prepared'>): void {
    const one = this.#open.get(`${shard}/${transaction.index}`)!;
    one.state = 'undecided';
    one.dueAtMs = entry.timeMs + one.firstCheckAfterMs;
  }

  #leased(
    shard: ShardId,
    { index, timeMs }: Entry,
    command: CommandOf<'leaseChecks'>,
    result: ApplyResult,
  ): void {
    const { leaseMs, producerGroup, transactions } = command;
    const leased: Checked[] = [];
    for (const id of transactions) {
      const one = this.#open.get(`${shard}/${id.index}`);
      if (one?.state !== 'undecided' || one.count >= one.maxChecks) continue;
      if (one.producerGroup !== producerGroup || one.dueAtMs > timeMs) continue;
      one.lease = index;
      one.dueAtMs = timeMs + Math.max(leaseMs, one.checkIntervalMs);
      leased.push(one);
    }
    const told = result.type === 'leased' ? result.checks : [];
    const expected = leased.map(({ id, count }) => `${id.index}:${count + 1}`).join();
    const given = told.map(({ id, checkCount }) => `${id.index}:${checkCount}`).join();
    const what = () => `shard ${shard}: entry ${index} leases ${given}, not ${expected}`;
    expect(given === expected, 'checks-leased', what);
  }

  #delivered(shard: ShardId, command: CommandOf<'checksDelivered'>, result: ApplyResult): void {
    let counted = 0;
    for (const { id, lease } of command.checks) {
      const one = this.#open.get(`${shard}/${id.index}`);
      if (one?.state !== 'undecided' || one.lease !== lease) continue;
      one.count += 1;
      one.lease = 0;
      counted += 1;
    }
    const isRight = result.type === 'counted' && result.count === counted;
    expect(isRight, 'checks-counted', () => `shard ${shard}: ${JSON.stringify([command, result])}`);
  }

  #parked(
    shard: ShardId,
    { index, timeMs }: Entry,
    { transactions }: CommandOf<'park'>,
    result: ApplyResult,
  ): void {
    let parked = 0;
    for (const id of transactions) {
      const one = this.#open.get(`${shard}/${id.index}`);
      if (one?.state !== 'undecided' || one.count < one.maxChecks || one.dueAtMs > timeMs) continue;
      one.state = 'parked';
      one.lease = 0;
      parked += 1;
    }
    const isRight = result.type === 'parked' && result.count === parked;
    const what = () => `shard ${shard}: entry ${index} parks ${JSON.stringify(result)}: ${parked}`;
    expect(isRight, 'parked-when-full', what);
  }

  #resumed(shard: ShardId, { timeMs }: Entry, { transaction }: CommandOf<'resume'>): void {
    const one = this.#open.get(`${shard}/${transaction.index}`)!;
    Object.assign(one, { state: 'undecided', count: 0, lease: 0, dueAtMs: timeMs });
  }

  #ended(
    shard: ShardId,
    { timeMs }: Entry,
    { decision }: CommandOf<'end'>,
    result: ApplyResult,
  ): void {
    if (result.type !== 'ended') return;
    const place = `${shard}/${result.id.index}`;
    const one = this.#open.get(place);
    if (result.state === 'committed' || result.state === 'rolledBack') {
      this.#open.delete(place);
      return;
    }
    if (decision !== 'unknown' || one?.state !== 'undecided') return;
    // An answer proves that the check was delivered.
    if (one.lease !== 0) one.count += 1;
    one.lease = 0;
    one.dueAtMs = timeMs + one.checkIntervalMs;
  }

  /** Of a replica that has applied everything. */
  expectState(shard: ShardId, data: DataShard): void {
    const found = [...data.openTransactions(0)].map(({ id, state, checkCount }) => {
      return `${id.index} ${state} ${checkCount}`;
    });
    const own = [...this.#open].filter(([place]) => place.startsWith(`${shard}/`));
    const expected = own.map(([, { id, state, count }]) => `${id.index} ${state} ${count}`);
    const isSame = found.sort().join() === expected.sort().join();
    expect(isSame, 'undecided-kept', () => `shard ${shard}: ${found}; not ${expected}`);
  }
}
