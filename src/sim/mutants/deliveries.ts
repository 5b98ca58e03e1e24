/** Planted bugs of the consumption of messages one by one. */
import type { Mutant } from './mutant.ts';

export const DELIVERIES: readonly Mutant[] = [
  {
    name: 'a stale token settles a delivery',
    file: 'src/broker/deliveries',
    from: "if (one.token !== token) return { status: 'stale' };",
    to: '',
  },
  {
    name: 'a leased message is given to somebody else',
    file: 'src/broker/pending-deliveries',
    from: 'return pending.dueAtMs <= nowMs && !this.#isSpent(pending) && this.#isFirst(pending);',
    to: 'return !this.#isSpent(pending) && this.#isFirst(pending);',
  },
  {
    name: 'what a dead consumer held is not given again',
    file: 'src/broker/pending-deliveries',
    from: 'return pending.dueAtMs <= nowMs && !this.#isSpent(pending) && this.#isFirst(pending);',
    to: `return !pending.isLeased && pending.dueAtMs <= nowMs && !this.#isSpent(pending) &&
      this.#isFirst(pending);`,
  },
  {
    name: 'a message comes while an earlier one of its key is undecided',
    file: 'src/broker/pending-deliveries',
    from: 'return line === undefined || line[0] === pending;',
    to: 'return line === undefined || line.length > 0;',
  },
  {
    name: 'a message that is given back is taken for acknowledged',
    file: 'src/broker/deliveries',
    from: "return this.#wait(subscription, one, verdict.type === 'extend', nowMs + waitMs, out);",
    to: `if (verdict.type === 'extend') {
      return this.#wait(subscription, one, true, nowMs + waitMs, out);
    }
    this.#forget(subscription, one, out);
    return { status: 'ok', dueAtMs: nowMs + waitMs };`,
  },
  {
    name: 'an attempt is not counted',
    file: 'src/broker/deliveries',
    from: 'one.attempt += 1;',
    to: '',
  },
  {
    name: 'a message that finds no room among the dead is lost',
    file: 'src/broker/deliveries',
    from: 'return this.#wait(subscription, one, false, death.nowMs + NO_ROOM_WAIT_MS, out);',
    to: `this.#forget(subscription, one, out);
      return { status: 'ok', dueAtMs: death.nowMs + NO_ROOM_WAIT_MS };`,
  },
  {
    name: 'a message is buried while its last lease runs',
    file: 'src/broker/pending-deliveries',
    from: 'return this.#isSpent(pending) && pending.dueAtMs <= nowMs;',
    to: 'return this.#isSpent(pending);',
  },
  {
    name: 'who holds a message is not in the rows',
    file: 'src/broker/deliveries',
    from: 'putPending(one, out);\n      given.push({ offset, attempt: one.attempt });',
    to: 'given.push({ offset, attempt: one.attempt });',
  },
  {
    name: 'the log goes before what is pending or dead in it',
    file: 'src/broker/held-entries',
    from: 'if (lowest === undefined || index < lowest) lowest = index;',
    to: '',
  },
  {
    name: 'what a lost lease would have given is passed over by the next',
    file: 'src/broker/subscriptions',
    from: 'if (from <= cursor && cursor < to) subscription.cursor = to;',
    to: 'if (cursor < to) subscription.cursor = to;',
  },
];
