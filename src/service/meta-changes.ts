/** Changes of who may do what and how much: in force on this node once they are answered. */
import type { MetaCommand, MetaResult } from '../cluster/api.ts';
import { encodeMetaCommand } from '../cluster/meta-codec.ts';
import { CallError } from '../status.ts';
import type { Call } from './call.ts';
import { ask, step } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import type { Proposed } from './internal-methods.ts';
import { metaError } from './refusals.ts';

const META_SHARD = 0;

export type MetaChangeParts = Pick<
  ExecutorParts,
  'config' | 'host' | 'methods' | 'router' | 'topics'
>;

/** `level`: which builds can read it. */
export async function changeMeta(
  parts: MetaChangeParts,
  call: Call,
  command: MetaCommand,
  level: number,
): Promise<void> {
  const { host, methods, router } = parts;
  if (host.meta().featureLevel() < level) throw tooEarly(level);
  const head = encodeMetaCommand(command);
  const proposed = await ask<Proposed>(router, call, methods.propose, META_SHARD, head);
  const result = proposed.result as MetaResult;
  if (result.type === 'refused') throw metaError(result, '');
  await catchUpMeta(parts, call);
}

/** Until this node has applied what was committed before. */
export function catchUpMeta({ topics }: MetaChangeParts, call: Call): Promise<void> {
  return step((done) => topics.catchUp(call, (error) => done(error, undefined)));
}

export function tooEarly(level: number): CallError {
  const text = `this needs feature level ${level}: holdfast cluster upgrade`;
  return new CallError('UPGRADE_UNFINISHED', text);
}
