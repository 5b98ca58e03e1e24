/** Which key kind of the store holds which table of the state machines. */

import { KeyKind, type TableKind } from '../../storage/keys.ts';
import type { TableRow } from '../../storage/level-db.ts';
import type { StateRow, Table } from '../broker/state-port.ts';

export const TABLE_KIND = {
  queue: KeyKind.queue,
  producer: KeyKind.producer,
  transaction: KeyKind.transaction,
  'caller-transaction': KeyKind.callerTransaction,
  'late-reference': KeyKind.lateReference,
  group: KeyKind.group,
  'group-offset': KeyKind.groupOffset,
  'offset-history': KeyKind.offsetHistory,
  topic: KeyKind.topic,
  meta: KeyKind.meta,
  delayed: KeyKind.delayed,
  'group-member': KeyKind.groupMember,
  'dedup-key': KeyKind.dedupKey,
  'transaction-part': KeyKind.transactionPart,
  'offset-hold': KeyKind.offsetHold,
  subscription: KeyKind.subscription,
  'pending-delivery': KeyKind.pendingDelivery,
  'dead-letter': KeyKind.deadLetter,
  'feature-level': KeyKind.featureLevel,
  'log-floor': KeyKind.logFloor,
  'compacted-key': KeyKind.compactedKey,
} as const satisfies Record<Table, TableKind>;

const KIND_TABLE: ReadonlyMap<TableKind, Table> = new Map(
  (Object.keys(TABLE_KIND) as Table[]).map((table) => [TABLE_KIND[table], table]),
);

/** Rows as the state machines load them. */
export function* stateRows(rows: Iterable<TableRow>): Generator<StateRow> {
  for (const { kind, key, value } of rows) {
    const table = KIND_TABLE.get(kind);
    if (table === undefined) throw new TypeError(`key kind ${kind} is no table`);
    yield { table, key, value };
  }
}
