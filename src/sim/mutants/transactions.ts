/** Planted bugs of transactions over shards, of checks and of parking. */
import type { Mutant } from './mutant.ts';

export const TRANSACTIONS: readonly Mutant[] = [
  {
    name: 'an outcome drops what other transactions hold',
    file: 'src/broker/transaction-parts',
    from: 'this.#byTransaction.get(globalText(command.transaction)) ?? [];',
    to: '[...this.#held.values()];',
  },
  {
    name: 'a part is visible before its outcome',
    file: 'src/broker/transaction-parts',
    from: 'this.places.add(added);\n    putPart(added, out);',
    to: 'this.places.add(added); this.#show(added, entry, out);',
  },
  {
    name: 'a participant that asks is told an outcome that is not there yet',
    file: 'src/broker/outcomes',
    from: 'isOpen(found) ? null :',
    to: '',
  },
  {
    name: 'the coordinator takes one participant for another',
    file: 'src/broker/coordinator',
    from: 'before.filter((shard) => !command.shards.includes(shard));',
    to: 'before.slice(0, -command.shards.length);',
  },
  {
    name: 'a rollback leaves offsets held',
    file: 'src/broker/offset-holds',
    from: 'this.#drop(hold, out);',
    to: 'if (command.commits) this.#drop(hold, out);',
  },
  {
    name: 'an outcome that is told again moves offsets again',
    file: 'src/broker/offset-holds',
    from: 'this.#byTransaction.delete(globalText(hold.transaction));',
    to: '',
  },
  {
    name: 'offsets that a transaction holds can be moved',
    file: 'src/broker/data-shard',
    from: 'if (refusal !== undefined) return refused(refusal);',
    to: '',
  },
  {
    name: 'held offsets are not in the rows',
    file: 'src/broker/offset-holds',
    from: 'this.#keep(hold);\n    putHold(hold, out);',
    to: 'this.#keep(hold);',
  },
  {
    name: 'offsets of a transaction move wherever they stand',
    file: 'src/broker/offset-holds',
    from: 'if (current !== given) return',
    to: 'if (current === -1) return',
  },
  {
    name: 'a prepared transaction is aborted',
    file: 'src/broker/half-messages',
    from: "if (transaction.state === 'preparing' && isDue) {",
    to: 'if (isDue) {',
  },
  {
    name: 'a preparation is given up before its time',
    file: 'src/broker/half-messages',
    from: "const isDue = by === 'refusal' || transaction.dueAtMs <= entry.timeMs;",
    to: 'const isDue = true;',
  },
  {
    name: 'parking drops a half message',
    file: 'src/broker/half-messages',
    from: "this.#transactions.change(transaction, { state: 'parked', lease: 0 }, out);",
    to: 'this.#rollBack(transaction, entry, out);',
  },
  {
    name: 'a half message is parked before its checks',
    file: 'src/broker/half-messages',
    from: "if (transaction?.state !== 'undecided' || !isFull(transaction)) continue;",
    to: "if (transaction?.state !== 'undecided') continue;",
  },
  {
    name: 'a check counts when it is leased',
    file: 'src/broker/half-messages',
    from: 'command.countsLater === true ? { lease } : counted(transaction);',
    to: 'counted(transaction);',
  },
  {
    name: 'a check counts as often as its delivery is told',
    file: 'src/broker/half-messages',
    from: "if (transaction?.state !== 'undecided' || transaction.lease !== lease) continue;",
    to: "if (transaction?.state !== 'undecided') continue;",
  },
];
