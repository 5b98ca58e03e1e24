/**
 * What shards tell each other about the outcome of transactions (internals rule 9). The coordinator
 * tells each participant until that one has applied it; a participant that holds something for
 * long, and hears nothing, asks. Decided here; who runs a node carries it.
 */
import type { ShardId, ShardTimeMs } from '../../raft/types.ts';
import type { DataShard, TransactionView } from './api.ts';
import type {
  GlobalTransactionId,
  ShownPart,
  StoredOffsets,
  StoredPart,
  TransactionCommand,
} from './transaction-commands.ts';
import { globalText } from './transaction-parts.ts';
import { isOpen } from './transactions.ts';

type CommandOf<Type extends TransactionCommand['type']> = Extract<
  TransactionCommand,
  { type: Type }
>;
export type Resolve = CommandOf<'resolve'>;

/** What `shard` is told of the outcome. */
export function outcomeFor(
  coordinator: ShardId,
  { id, state, parts, offsets }: Pick<TransactionView, 'id' | 'state' | 'parts' | 'offsets'>,
  shard: ShardId,
): Resolve {
  const commits = state === 'committed';
  const stored: readonly (StoredPart | StoredOffsets)[] =
    offsets === undefined ? parts : [...parts, offsets];
  const own = stored.filter((one) => commits && one.shard === shard).map(({ at }) => at);
  return { type: 'resolve', transaction: { shard: coordinator, ...id }, commits, parts: own };
}

/** By participant, at most `limit` for each; nothing for those that hear something already. */
export function outcomesToTell(
  coordinator: ShardId,
  data: Pick<DataShard, 'unresolved'>,
  isBusy: (participant: ShardId) => boolean,
  limit: number,
): ReadonlyMap<ShardId, readonly Resolve[]> {
  const batches = new Map<ShardId, Resolve[]>();
  for (const transaction of data.unresolved()) {
    for (const to of transaction.unresolved) {
      if (isBusy(to)) continue;
      const batch = batches.get(to) ?? [];
      batches.set(to, batch);
      if (batch.length < limit) batch.push(outcomeFor(coordinator, transaction, to));
    }
  }
  return batches;
}

/** To the coordinator: `participant` has applied what it was told, and showed this. */
export function resolvedBy(
  participant: ShardId,
  { transaction }: Resolve,
  shown: readonly ShownPart[],
): CommandOf<'resolved'> {
  return { type: 'resolved', transaction, shards: [participant], shown };
}

/** By coordinator: what is held here since `sinceMs` or longer. */
export function outcomesToAsk(
  data: Pick<DataShard, 'heldSince'>,
  sinceMs: ShardTimeMs,
): ReadonlyMap<ShardId, readonly GlobalTransactionId[]> {
  const asked = new Map<ShardId, Map<string, GlobalTransactionId>>();
  for (const id of data.heldSince(sinceMs)) {
    const ids = asked.get(id.shard) ?? new Map<string, GlobalTransactionId>();
    asked.set(id.shard, ids.set(globalText(id), id));
  }
  return new Map([...asked].map(([coordinator, ids]) => [coordinator, [...ids.values()]]));
}

/**
 * The coordinator's answer to `shard`, by a leader that proved itself after the question; null =
 * there is no outcome yet. What is forgotten was applied by every participant: a part that is still
 * held came late, and is dropped.
 */
export function answerAbout(
  data: Pick<DataShard, 'coordinated'>,
  transaction: GlobalTransactionId,
  shard: ShardId,
): Resolve | null {
  const found = data.coordinated(transaction);
  if (found === undefined) return { type: 'resolve', transaction, commits: false, parts: [] };
  return isOpen(found) ? null : outcomeFor(transaction.shard, found, shard);
}
