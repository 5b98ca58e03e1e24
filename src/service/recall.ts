/** Recall: delayed messages that are not wanted any more. */
import { encodeCommand } from '../broker/command-codec.ts';
import type { ApplyResult } from '../broker/commands.ts';
import { parseMessageId } from '../convert.ts';
import { CallError } from '../status.ts';
import type { Call } from './call.ts';
import { ask } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import type { Proposed } from './internal-methods.ts';
import { appliedError } from './produce.ts';
import { notDelayed } from './refusals.ts';

export const RECALL_PATH = '/holdfast.v1.Log/Recall';

export async function recall(
  { host, router, methods }: Pick<ExecutorParts, 'host' | 'router' | 'methods'>,
  call: Call,
  { message_id: text }: { readonly message_id: string },
): Promise<object> {
  const { shard, index, position } = parseMessageId('message_id', text);
  if (position !== 0) {
    throw new CallError(
      'INVALID_REQUEST',
      `message_id ${text} is one of several that were sent together: they are delayed together. ` +
        'Give the id of the first, which ends in -0',
    );
  }
  if (shard === 0 || !host.shards().includes(shard)) throw notDelayed();
  const command = encodeCommand({ type: 'recall', index });
  const { result } = await ask<Proposed>(router, call, methods.propose, shard, command);
  const outcome = result as ApplyResult;
  if (outcome.type !== 'recalled') throw appliedError(outcome);
  return { count: outcome.count };
}
