/**
 * How a simulated client talks to the cluster: it proposes at some node, mostly the leader, and
 * waits for an answer for a while. Whatever it is told is checked at once.
 */
import type { ProposalLevel, ProposalOutcome } from '../../../raft/driver.ts';
import type { LogIndex, ShardId } from '../../../raft/types.ts';
import type { ApplyResult, Command } from '../../broker/commands.ts';
import type { SimCluster } from '../cluster.ts';
import { expect } from '../failure.ts';
import type { SimNode } from '../node.ts';
import type { Random } from '../random.ts';
import { History } from './history.ts';
import { bodyOf } from './values.ts';

export type Reply =
  | { readonly status: 'applied'; readonly index: LogIndex; readonly result: ApplyResult }
  /** Nothing was or will be done. */
  | { readonly status: 'failed' }
  /** In memory or in page caches, as the request's level asked. */
  | { readonly status: 'weak' }
  | { readonly status: 'unknown' };

export interface Request {
  readonly command: Command;
  /** '' = it carries no messages. */
  readonly batch?: string;
  readonly paddingBytes?: number;
  /** In place of padding: what somebody looks into. */
  readonly messages?: Uint8Array;
  readonly level?: ProposalLevel;
}

const REPLY_WITHIN_MS = 4000;
/** Asks somebody who does not lead, or no longer does. */
const ASTRAY_SHARE = 0.05;

export class Session {
  readonly cluster: SimCluster;
  readonly random: Random;
  readonly history = new History();
  readonly outcomes: Partial<Record<ProposalOutcome['status'], number>> = {};
  proposals = 0;
  isStopped = false;

  constructor(cluster: SimCluster, random: Random) {
    this.cluster = cluster;
    this.random = random;
  }

  after(maxMs: number, run: () => void): void {
    this.cluster.scheduler.after(this.random.next() * maxMs, run);
  }

  target(shard: ShardId): SimNode {
    const { nodes } = this.cluster;
    const leaders = nodes.filter(({ id, driver }) => driver?.leaderOf(shard) === id);
    const isAstray = leaders.length === 0 || this.random.chance(ASTRAY_SHARE);
    return this.random.pick(isAstray ? nodes : leaders);
  }

  /** `done` is called once: with the answer, or with `unknown` when none came in time. */
  request(
    shard: ShardId,
    request: Request,
    done: (reply: Reply) => void,
    target = this.target(shard),
  ): void {
    if (target.driver === undefined) {
      done({ status: 'failed' });
      return;
    }
    const { command, batch = '', level = 'majorityFsync' } = request;
    const tag = this.history.name('a');
    const rest = request.messages ?? new Uint8Array(request.paddingBytes ?? 0);
    const body = bodyOf(command, { tag, batch }, rest);
    const answer = once(done);
    this.proposals++;
    const { trace } = this.cluster;
    const what = `${tag} ${command.type} ${batch}`.trim();
    trace.note(() => `client ${what} s${shard} n${target.id} ${level}`);
    let isAnswered = false;
    target.request((driver) =>
      driver.propose(shard, body, level, (outcome) => {
        expect(!isAnswered, 'answered-once', () => tag);
        isAnswered = true;
        trace.note(() => `client ${what} s${shard} n${target.id}: ${describe(outcome)}`);
        answer(this.#judged(shard, tag, outcome));
      }),
    );
    if (!isAnswered) {
      this.cluster.scheduler.after(REPLY_WITHIN_MS, () => answer({ status: 'unknown' }));
    }
  }

  #judged(shard: ShardId, tag: string, outcome: ProposalOutcome): Reply {
    const { judge } = this.cluster;
    const { status } = outcome;
    this.outcomes[status] = (this.outcomes[status] ?? 0) + 1;
    switch (status) {
      case 'applied': {
        const { index, result } = outcome;
        judge.acks.acked({ shard, index, tag }, judge.committed.of(shard));
        judge.reads.acked(shard, index);
        return { status, index, result: result as ApplyResult };
      }
      case 'unknown':
        judge.coverage.reach('proposal answered unknown');
        return { status };
      case 'written':
        return { status: 'weak' };
      default:
    }
    judge.acks.refused(tag);
    return { status: 'failed' };
  }
}

function describe(outcome: ProposalOutcome): string {
  if (outcome.status !== 'applied') return outcome.status;
  return `applied at ${outcome.index} ${JSON.stringify(outcome.result)}`;
}

function once(done: (reply: Reply) => void): (reply: Reply) => void {
  let isDone = false;
  return (reply) => {
    if (isDone) return;
    isDone = true;
    done(reply);
  };
}
