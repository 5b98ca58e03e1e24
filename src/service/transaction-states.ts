/** States of transactions, inside and on the wire (transactions.proto). */
import type { TransactionState } from '../broker/commands.ts';
import { CallError } from '../status.ts';

export const STATES = {
  undecided: 1,
  committed: 2,
  rolledBack: 3,
  parked: 4,
  preparing: 5,
} as const satisfies Record<TransactionState, number>;

const LISTED: Readonly<Record<number, '' | TransactionState>> = {
  0: '',
  [STATES.undecided]: 'undecided',
  [STATES.parked]: 'parked',
  [STATES.preparing]: 'preparing',
};

/** What a list may be narrowed to; '' = whatever has no outcome. */
export function checkedState(state: number): '' | TransactionState {
  const known = LISTED[state];
  if (known !== undefined) return known;
  throw new CallError(
    'INVALID_REQUEST',
    `state ${state}: a list holds what has no outcome, PREPARING, UNDECIDED or PARKED. ` +
      'Leave it out for all of it',
  );
}
