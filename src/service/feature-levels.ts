/** RaiseFeatureLevel: ends an upgrade, once every member runs a build that knows the level. */
import { FIRST_LEVEL, NEWEST_LEVEL } from '../broker/feature-level.ts';
import { encodeMetaCommand } from '../cluster/meta-codec.ts';
import { checkedNumber } from '../convert.ts';
import { CallError } from '../status.ts';
import type { Call } from './call.ts';
import type { ClusterStatus } from './cluster-status.ts';
import { ask, step } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import type { Proposed } from './internal-methods.ts';

const META_SHARD = 0;

export class FeatureLevelCalls {
  readonly #parts: ExecutorParts;
  readonly #status: ClusterStatus;

  constructor(parts: ExecutorParts, status: ClusterStatus) {
    this.#parts = parts;
    this.#status = status;
  }

  async raise(call: Call, request: { readonly level: number }): Promise<object> {
    const wanted = checkedNumber('level', request.level);
    await this.#catchUp(call);
    const builds = await this.#status.builds(call);
    const known = Math.min(...builds.map(({ newestLevel }) => newestLevel ?? FIRST_LEVEL));
    const level = wanted === 0 ? Math.max(known, this.#current) : wanted;
    if (level > NEWEST_LEVEL) {
      throw new CallError(
        'INVALID_REQUEST',
        `level: this build knows ${FIRST_LEVEL} to ${NEWEST_LEVEL}, not ${level}`,
      );
    }
    // A node of an earlier build must never see the command.
    if (level <= this.#current) return { level: this.#current };
    const behind = builds.filter(({ newestLevel = 0 }) => newestLevel < level);
    const silent = builds.filter(({ newestLevel }) => newestLevel === undefined);
    if (silent.length > 0 || behind.length > 0) throw unfinished(level, silent, behind);
    const { methods, router } = this.#parts;
    const head = encodeMetaCommand({ type: 'raiseLevel', level });
    await ask<Proposed>(router, call, methods.propose, META_SHARD, head);
    await this.#catchUp(call);
    return { level: this.#current };
  }

  get #current(): number {
    return this.#parts.host.meta().featureLevel();
  }

  #catchUp(call: Call): Promise<void> {
    return step((done) => this.#parts.topics.catchUp(call, (error) => done(error, undefined)));
  }
}

function unfinished(
  level: number,
  silent: readonly { readonly node: number }[],
  behind: readonly { readonly node: number }[],
): CallError {
  const names = (nodes: readonly { node: number }[]) => nodes.map(({ node }) => node).join(', ');
  const [which, what] =
    silent.length > 0
      ? [silent, 'do not answer: start them']
      : [behind, 'run a build that does not know it: install the new one there'];
  return new CallError('UPGRADE_UNFINISHED', `level ${level}: nodes ${names(which)} ${what}`);
}
