/** P24: where a group asked for order, a key's messages come one after the other. */
import { type Facts, listOf } from './facts.ts';
import { acksOf, type Consumed, consumedIn, DeadLetters } from './leased.ts';
import type { Finding, Property } from './property.ts';

export const keyOrder: Property = {
  id: 'P24',
  name: 'key-order',
  says:
    'A FIFO group is given a message only when every earlier one of its key and queue is ' +
    'decided, and never gets an earlier one after it.',
  *find(facts) {
    const dead = new DeadLetters(facts);
    const keys = offsetsByKey(facts);
    for (const messages of consumedIn(facts).values()) {
      const [any] = messages.values();
      if (any === undefined || ![...messages.values()].some(({ fifo }) => fifo)) continue;
      for (const offsets of keys.get(any.log)?.values() ?? []) {
        for (let at = 1; at < offsets.length; at++) {
          facts.bound.step();
          const message = messages.get(offsets[at]!);
          if (message === undefined) continue;
          const offset = offsets[at - 1]!;
          const isDead = dead.mayBe({ name: any.name, offset });
          yield* tooSoon(message, { offset, isDead, message: messages.get(offset) });
        }
      }
    }
  },
};

/** By queue, then by key, ascending. */
function offsetsByKey(facts: Facts): Map<string, Map<string, number[]>> {
  const queues = new Map<string, Map<string, number[]>>();
  const keyed = [
    ...facts.parts,
    ...facts.sends.map(({ log, values, attempts }) => ({ log, values, key: attempts[0]!.key })),
  ];
  for (const { log, values, key } of keyed) {
    if (key === undefined) continue;
    const keys = queues.get(log) ?? new Map<string, number[]>();
    queues.set(log, keys);
    for (const value of values) {
      facts.bound.step();
      const place = facts.places.first(log, value);
      if (place !== undefined) listOf(keys, key).push(place.offset);
    }
  }
  for (const keys of queues.values()) {
    for (const offsets of keys.values()) offsets.sort((a, b) => a - b);
  }
  return queues;
}

/** The message of its key before it, as far as it was ever given. */
interface Earlier {
  readonly offset: number;
  readonly isDead: boolean;
  readonly message: Consumed | undefined;
}

function* tooSoon(message: Consumed, earlier: Earlier): Generator<Finding> {
  const [first] = message.given;
  if (first === undefined) return;
  const what = `${message.name}: offset ${message.offset} is given`;
  const { line, completedMs } = first.receive;
  const last = earlier.message?.given.at(-1);
  const lines = [...(last === undefined ? [] : [last.receive.line]), line];
  if (last !== undefined && last.fence > first.fence) {
    yield { text: `${what}, then ${earlier.offset} of its key again`, lines };
    return;
  }
  const acks = earlier.message === undefined ? [] : acksOf(earlier.message);
  if (earlier.isDead || acks.some(({ settle }) => settle.invokedMs < completedMs)) return;
  yield { text: `${what} while ${earlier.offset} of its key is undecided`, lines };
}
