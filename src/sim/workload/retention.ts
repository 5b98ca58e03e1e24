/**
 * A leader that deletes what is old or too much, by production's decision: start offsets rise, and
 * never above what was asked for; and that appends again what nobody reads yet and what alone keeps
 * the log.
 */
import type { Entry, ShardId } from '../../../raft/types.ts';
import type { HeldBody } from '../../broker/commands.ts';
import {
  decideTrim,
  type TrimDecision,
  type TrimProposal,
  type TrimSource,
} from '../../shards/retention.ts';
import { trimRows } from '../../shards/trim-rows.ts';
import { expect } from '../failure.ts';
import type { SimNode } from '../node.ts';
import { RowCopies, withEarlyRows } from './row-copies.ts';
import type { Reply, Session } from './session.ts';
import { taggedOf } from './values.ts';

const RETENTIONS_MS = [0, 300, 2000];
const RETENTIONS_BYTES = [0, 300, 3000];
const SLOW_REPLICA_GRACE_MS = 1000;
/** Histories are short: so many bodies are copied long before that would be worth it. */
const EARLY_COPIES = 2;
const EARLY_ROWS_SHARE = 0.5;

export class Retention {
  readonly #session: Session;
  readonly #rows: RowCopies;

  constructor(session: Session) {
    this.#session = session;
    this.#rows = new RowCopies(session);
  }

  trim(shard: ShardId): void {
    const { cluster } = this.#session;
    // Elsewhere logs are cut whatever lives in them: nothing could be decided by their rows.
    if (cluster.swarm.retention) return;
    const leader = cluster.leaderOf(shard);
    if (leader === undefined || leader.isPaused) return;
    const propose = ({ copies, rowCopies, trim }: TrimDecision): void => {
      if (!leader.isUp) return;
      this.#rows.copy(shard, leader, rowCopies);
      const early = leader.machine.data(shard).heldBodies(Number.MAX_SAFE_INTEGER, EARLY_COPIES);
      for (const body of [...copies, ...early]) this.#copy(shard, leader, body);
      if (trim !== undefined) this.#propose(shard, leader, trim);
    };
    cluster.scheduler.promised();
    this.#decide(shard, leader)
      .then(propose)
      .catch((error: Error) => cluster.scheduler.fail(error));
  }

  #decide(shard: ShardId, { disk, driver, machine }: SimNode): Promise<TrimDecision> {
    const { random, cluster } = this.#session;
    const { flush, machine: states } = machine.life;
    const config = {
      retentionMs: random.pick(RETENTIONS_MS),
      retentionBytes: random.pick(RETENTIONS_BYTES),
      durability: 1,
      diskPolicy: 'availability',
    } as const;
    const isEarly = random.chance(EARLY_ROWS_SHARE);
    const source: TrimSource = {
      shard,
      data: machine.data(shard),
      nowMs: states.timeMs(shard),
      matchedByAll: driver!.matchedByAll(shard, SLOW_REPLICA_GRACE_MS),
      applied: driver!.status(shard).applied,
      logTrim: states.logTrim(shard),
      isHoldingLog: isEarly || random.chance(0.5),
      mayGoEarly: config.retentionBytes === 0,
      topicConfig: () => config,
      compactedKeys: machine.data(shard).compactedKeys,
      onDamage: (error) => {
        if (!disk.flips.isAny) cluster.scheduler.fail(error);
      },
      ...trimRows(flush, shard),
    };
    const decided = decideTrim(source);
    return isEarly ? decided.then((decision) => withEarlyRows(source, decision)) : decided;
  }

  /** Every attempt has a tag of its own: the messages are the same. */
  #copy(shard: ShardId, leader: SimNode, { owner, id, at: from }: HeldBody): void {
    const { cluster } = this.#session;
    const read = (error: Error | undefined, [entry]: readonly Entry[]): void => {
      const isThere = error === undefined && entry?.term === from.term;
      const lies = leader.machine.data(shard).heldBodies(from.index + 1, Number.MAX_SAFE_INTEGER);
      const isMoved = !lies.some(({ at }) => at.index === from.index);
      // A read that failed once says nothing about what lies there.
      const isBadDisk = leader.disk.flips.isAny || error?.message.includes('EIO') === true;
      if (!isThere && (isMoved || isBadDisk)) return;
      expect(
        isThere,
        'body-there',
        () => `shard ${shard}: ${from.index} on ${leader.id}: ${error}`,
      );
      const { batch = '' } = taggedOf(entry!) ?? {};
      const command = { type: 'copy', owner, id, from } as const;
      const done = ({ status }: Reply): void => {
        if (status === 'applied') cluster.judge.coverage.reach('hidden body copied');
      };
      this.#session.request(shard, { command, batch }, done, leader);
    };
    const cached = leader.driver!.cachedEntries(shard, from.index, from.index, 1);
    if (cached !== undefined) read(undefined, cached);
    else leader.disk.read(shard, from.index, from.index, 1, read);
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
