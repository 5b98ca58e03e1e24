/** What a history says of messages consumed one by one, put together by group and message. */
import type { DeadLetter, Delivery, Settled } from '../history.ts';
import { type Facts, type Line, listOf, logOf } from './facts.ts';
import { countBelow } from './sorted.ts';

/** As docs/guarantees.md has it: a message is leased so often, and is then a dead letter. */
export const ATTEMPTS_MAX = 16;
export interface Given extends Delivery {
  readonly receive: Line<'receive'>;
}

export interface Settling extends Settled {
  readonly settle: Line<'settle'>;
}

/** One message of one group. */
export interface Consumed {
  /** Group and queue. */
  readonly name: string;
  readonly group: string;
  readonly log: string;
  readonly offset: number;
  readonly fifo: boolean;
  /** In the order of their fencing tokens. */
  readonly given: readonly Given[];
  readonly settled: readonly Settling[];
}

interface Collected extends Consumed {
  readonly given: Given[];
  readonly settled: Settling[];
}

/** By group and queue, then by offset. */
export type ByQueue = ReadonlyMap<string, ReadonlyMap<number, Consumed>>;

export function consumedIn(facts: Facts): ByQueue {
  const queues = new Map<string, Map<number, Collected>>();
  for (const receive of facts.of('receive')) {
    for (const delivery of receive.deliveries) {
      facts.bound.step();
      messageOf(queues, receive, delivery).given.push({ ...delivery, receive });
    }
  }
  for (const settle of facts.of('settle')) {
    for (const item of settle.items) {
      facts.bound.step();
      messageOf(queues, settle, item).settled.push({ ...item, settle });
    }
  }
  for (const messages of queues.values()) {
    for (const { given } of messages.values()) {
      given.sort((a, b) => a.fence - b.fence || a.receive.line - b.receive.line);
    }
  }
  return queues;
}

function messageOf(
  queues: Map<string, Map<number, Collected>>,
  line: Line<'receive'> | Line<'settle'>,
  { queue, offset }: { readonly queue: number; readonly offset: number },
): Collected {
  const { group, topic } = line;
  const log = logOf({ topic, queue });
  const name = nameOf(group, log);
  const messages = queues.get(name) ?? new Map<number, Collected>();
  queues.set(name, messages);
  const fifo = line.type === 'receive' && line.fifo === true;
  const known = messages.get(offset);
  if (known !== undefined) return known;
  const fresh: Collected = { name, group, log, offset, fifo, given: [], settled: [] };
  messages.set(offset, fresh);
  return fresh;
}

export function nameOf(group: string, log: string): string {
  return `${group}, ${log}`;
}

/** An Ack that may have counted: it was answered so, or not answered. */
export function acksOf({ settled }: Consumed): Settling[] {
  return settled.filter(
    ({ settle, status }) => settle.verdict === 'ack' && mayHaveCounted(settle, status),
  );
}

export function mayHaveCounted({ outcome }: Line<'settle'>, status: Settled['status']): boolean {
  if (outcome === 'fail') return false;
  return status === undefined || status === 'SETTLED' || status === 'OUTCOME_OPEN';
}

/** How many Receives of a group there were in some time: each leases a message once at most. */
export class Receives {
  readonly #invokedMs = new Map<string, number[]>();
  readonly #completedMs = new Map<string, number[]>();

  constructor(facts: Facts) {
    for (const { group, invokedMs, completedMs } of facts.of('receive')) {
      facts.bound.step();
      listOf(this.#invokedMs, group).push(invokedMs);
      listOf(this.#completedMs, group).push(completedMs);
    }
    for (const times of [...this.#invokedMs.values(), ...this.#completedMs.values()]) {
      times.sort((a, b) => a - b);
    }
  }

  /** All that were under way at any moment of it. */
  between(group: string, fromMs: number, toMs: number): number {
    const begun = countBelow(this.#invokedMs.get(group) ?? [], toMs);
    return begun - countBelow(this.#completedMs.get(group) ?? [], fromMs);
  }
}

/** Messages that were listed as dead after the run, by group and queue. */
export class DeadLetters {
  readonly #queues = new Map<string, ReadonlyMap<number, DeadLetter>>();

  constructor(facts: Facts) {
    for (const drained of facts.of('drained')) {
      const letters = drained.dead.map((letter) => [letter.offset, letter] as const);
      this.#queues.set(nameOf(drained.group, logOf(drained)), new Map(letters));
    }
  }

  at(name: string, offset: number): DeadLetter | undefined {
    return this.#queues.get(name)?.get(offset);
  }

  /** Where nobody looked, anything may be one. */
  mayBe({ name, offset }: Pick<Consumed, 'name' | 'offset'>): boolean {
    const listed = this.#queues.get(name);
    return listed === undefined || listed.has(offset);
  }
}
