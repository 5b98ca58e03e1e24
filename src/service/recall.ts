/** Recall: delayed messages that are not wanted any more. */
import { encodeCommand } from '../broker/command-codec.ts';
import type { ApplyResult } from '../broker/commands.ts';
import { parseMessageId } from '../convert.ts';
import { DEMANDS } from '../security/permissions.ts';
import { CallError } from '../status.ts';
import type { Call } from './call.ts';
import { ask } from './cold.ts';
import type { ExecutorParts } from './executor-parts.ts';
import type { Proposed } from './internal-methods.ts';
import { appliedError } from './produce.ts';
import { notDelayed } from './refusals.ts';
import type { TracedMessage } from './tracing/message.ts';
import type { TraceMethods } from './tracing/methods.ts';

export const RECALL_PATH = '/holdfast.v1.Log/Recall';

type RecallParts = Pick<ExecutorParts, 'host' | 'router' | 'methods'> & {
  readonly traceMethods: TraceMethods;
};

export async function recall(
  parts: RecallParts,
  call: Call,
  { message_id: text }: { readonly message_id: string },
): Promise<object> {
  const { host, router, methods } = parts;
  const { shard, index, position } = parseMessageId('message_id', text);
  if (position !== 0) {
    throw new CallError(
      'INVALID_REQUEST',
      `message_id ${text} is one of several that were sent together: they are delayed together. ` +
        'Give the id of the first, which ends in -0',
    );
  }
  if (shard === 0 || !host.shards().includes(shard)) throw notDelayed();
  if (call.caller !== undefined) await assertOwn(parts, call, shard, index);
  const command = encodeCommand({ type: 'recall', index });
  const { result } = await ask<Proposed>(router, call, methods.propose, shard, command);
  const outcome = result as ApplyResult;
  if (outcome.type !== 'recalled') throw appliedError(outcome);
  return { count: outcome.count };
}

/** Who sends to a topic takes back from it. Of others' messages nothing is told. */
async function assertOwn(
  { host, router, traceMethods }: RecallParts,
  call: Call,
  shard: number,
  index: number,
): Promise<void> {
  const question = { index, position: 0 };
  const found = await ask<TracedMessage>(router, call, traceMethods.message, shard, question).catch(
    (error: unknown) => {
      throw error instanceof CallError && error.reason === 'MESSAGE_NOT_FOUND'
        ? notDelayed()
        : error;
    },
  );
  const topic = host.meta().topicById(found.topicId)?.name ?? '';
  if (!call.may(DEMANDS.produceTo, topic)) throw notDelayed();
}
