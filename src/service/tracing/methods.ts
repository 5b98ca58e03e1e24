/** What Trace asks the leaders of shards. */
import type { TransactionView } from '../../broker/api.ts';
import type { TransactionId } from '../../broker/commands.ts';
import type { ShardHost } from '../../shards/api.ts';
import { afterRound, decodeJson, encodeJson } from '../internal-methods.ts';
import type { ShardMethod } from '../methods.ts';
import { traceKeysMethod } from './keys.ts';
import { traceMessageMethod } from './message.ts';

const ALL = Number.MAX_SAFE_INTEGER;

export interface GroupPlace {
  readonly group: string;
  readonly offset: number;
  readonly owner: string;
}

export type TracedTransaction = Pick<
  TransactionView,
  'state' | 'producerGroup' | 'checkCount' | 'maxChecks'
>;

export interface TraceMethods {
  readonly message: ShardMethod;
  /** Groups of the shard that committed on a queue. */
  readonly places: ShardMethod;
  /** null = the coordinator has forgotten it. */
  readonly transaction: ShardMethod;
  readonly keys: ShardMethod;
}

export function createTraceMethods(host: ShardHost): TraceMethods {
  const question = <Question>(
    name: string,
    answer: (shard: number, question: Question) => unknown,
  ): ShardMethod => ({
    name,
    kind: 'read',
    perform: (_call, target, body, _parsed, done) =>
      afterRound(host, target, done, () => {
        done(undefined, encodeJson(answer(target.shard, decodeJson<Question>(body))));
      }),
  });
  return {
    message: traceMessageMethod(host),
    keys: traceKeysMethod(host),
    places: question<{ topicId: string; queue: number }>('.trace/places', (shard, asked) =>
      placesOf(host, shard, asked),
    ),
    transaction: question<TransactionId>('.trace/transaction', (shard, id) => {
      const found = host.data(shard).coordinated(id);
      if (found === undefined) return null;
      const { checkCount, maxChecks, producerGroup, state } = found;
      return { state, producerGroup, checkCount, maxChecks } satisfies TracedTransaction;
    }),
  };
}

function placesOf(
  host: ShardHost,
  shard: number,
  { topicId, queue }: { readonly topicId: string; readonly queue: number },
): GroupPlace[] {
  const data = host.data(shard);
  return data.groupNames('', ALL).flatMap((group) => {
    const at = data.groupOffsets(group, topicId).find((one) => one.queue === queue);
    const share = data.membership(group)?.topics.get(topicId)?.queues[queue];
    if (at === undefined && share === undefined) return [];
    return [{ group, offset: at?.offset ?? 0, owner: share?.owner ?? '' }];
  });
}
