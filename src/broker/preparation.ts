/**
 * The steps between `begin` and `prepared` (internals rule 9): every participant stores what is
 * its own, side by side; all stored, or one refused, decides what the coordinator is told.
 */
import type { ShardId } from '../../raft/types.ts';
import type { StoredAt } from './commands.ts';
import type {
  GlobalTransactionId,
  OffsetPlan,
  PartPlan,
  TopicOffsets,
  TransactionCommand,
} from './transaction-commands.ts';

type CommandOf<Type extends TransactionCommand['type']> = Extract<
  TransactionCommand,
  { type: Type }
>;

/** A group's offsets that move with the transaction. */
export interface OffsetsPlan extends OffsetPlan {
  readonly generation: number;
  readonly memberId: string;
  /** Whose the member must be; absent = nobody was asked. */
  readonly principal?: string;
  readonly topics: readonly TopicOffsets[];
}

export interface StoreStep {
  readonly shard: ShardId;
  readonly command: CommandOf<'preparePart'> | CommandOf<'prepareOffsets'>;
}

/** In the order in which `prepared` lists where they lie: the parts, then the offsets. */
export function storeSteps(
  transaction: GlobalTransactionId,
  parts: readonly PartPlan[],
  offsets: OffsetsPlan | undefined,
): readonly StoreStep[] {
  const steps: StoreStep[] = parts.map(({ shard, queueId, count, queueEpoch }, part) => {
    const epoch = queueEpoch === undefined ? {} : { queueEpoch };
    const command = { type: 'preparePart', transaction, part, queueId, count, ...epoch } as const;
    return { shard, command };
  });
  if (offsets !== undefined) {
    const { shard, ...moved } = offsets;
    const what = { transaction, ...moved };
    steps.push({ shard, command: { type: 'prepareOffsets', ...what } });
  }
  return steps;
}

export function allStored(
  transaction: GlobalTransactionId,
  places: readonly StoredAt[],
): CommandOf<'prepared'> {
  return { type: 'prepared', transaction, parts: places };
}

/** Only what is still being prepared is rolled back; another drive may have been faster. */
export function oneRefused({ shard: _, ...id }: GlobalTransactionId): CommandOf<'end'> {
  const transaction = { by: 'id', id } as const;
  return { type: 'end', producerGroup: '', transaction, decision: 'rollback', by: 'refusal' };
}
