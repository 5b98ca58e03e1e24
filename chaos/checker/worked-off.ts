/** P23: a message is given until it is decided, and not once more. */
import { type Facts, type FinalRead, type Line, logOf } from './facts.ts';
import {
  ATTEMPTS_MAX,
  acksOf,
  type ByQueue,
  type Consumed,
  consumedIn,
  DeadLetters,
  mayHaveCounted,
  nameOf,
  type Settling,
} from './leased.ts';
import type { Finding, Property } from './property.ts';

export const workedOff: Property = {
  id: 'P23',
  name: 'worked-off',
  says:
    'What a group acknowledged is never given to it again; after the run everything in a queue ' +
    'is acknowledged, or a dead letter after all its attempts, and nothing was given that is ' +
    'not there.',
  *find(facts) {
    const dead = new DeadLetters(facts);
    const queues = consumedIn(facts);
    const finals = new Map(facts.finals.map((final) => [final.log, final]));
    for (const messages of queues.values()) {
      for (const message of messages.values()) {
        facts.bound.step();
        yield* givenAgain(message);
        yield* undecided(message, dead);
        yield* another(message, finals.get(message.log));
      }
    }
    for (const drained of facts.of('drained')) {
      yield* leftOut(facts, drained, queues, finals);
      yield* tooSoon(drained, queues);
    }
  },
};

function whatOf({ name, offset }: Consumed): string {
  return `${name}, offset ${offset}`;
}

const OVER = new Set(['SETTLED', 'DECIDED', 'DEAD']);

/** By the order of tokens, and, where an answer says that it is over, by time. */
function* givenAgain(message: Consumed): Generator<Finding> {
  for (const { fence, status, settle } of message.settled) {
    if (settle.verdict !== 'ack' || status === undefined || !OVER.has(status)) continue;
    const again = message.given.find(
      (given) =>
        (status === 'SETTLED' && given.fence > fence) ||
        given.receive.invokedMs > settle.completedMs,
    );
    if (again === undefined) continue;
    const how = `${status} to an Ack of ${settle.process}, yet ${again.receive.process} gets it`;
    const text = `${whatOf(message)}: ${how}, attempt ${again.attempt}`;
    yield { text, lines: [settle.line, again.receive.line] };
  }
}

/** A node says that it is over, and nobody ended it. */
function* undecided(message: Consumed, dead: DeadLetters): Generator<Finding> {
  const acks = acksOf(message);
  for (const { status, settle } of message.settled) {
    const isDone = status === 'DECIDED' && !acks.some((ack) => isBefore(ack, settle));
    const isDead = status === 'DEAD' && !dead.mayBe(message);
    if (!isDone && !isDead) continue;
    yield { text: `${whatOf(message)}: ${status}, by nobody`, lines: [settle.line] };
    return;
  }
}

function isBefore(ack: Settling, { completedMs }: Line<'settle'>): boolean {
  return ack.settle.invokedMs < completedMs;
}

function* another(message: Consumed, final: FinalRead | undefined): Generator<Finding> {
  if (final === undefined) return;
  const there = final.shown.get(message.offset)?.value;
  const wrong = message.given.find(({ value }) => value !== there);
  if (wrong === undefined) return;
  const text = `${whatOf(message)}: ${wrong.value} is given, ${there ?? 'nothing'} is there`;
  yield { text, lines: [wrong.receive.line, final.line] };
}

/** Nothing is pending any more: all that was in the queue has to be decided. */
function* leftOut(
  facts: Facts,
  drained: Line<'drained'>,
  queues: ByQueue,
  finals: ReadonlyMap<string, FinalRead>,
): Generator<Finding> {
  const { group, cursor, line } = drained;
  const log = logOf(drained);
  const name = nameOf(group, log);
  const final = finals.get(log);
  if (final !== undefined && cursor < final.endOffset) {
    const text = `${name}: nothing is before the group at ${cursor}`;
    yield { text: `${text}, the queue reaches to ${final.endOffset}`, lines: [final.line, line] };
  }
  const dead = new Set(drained.dead.map(({ offset }) => offset));
  const messages = queues.get(name);
  for (let offset = final?.startOffset ?? 0; offset < cursor; offset++) {
    facts.bound.step();
    const message = messages?.get(offset);
    if (dead.has(offset) || (message !== undefined && acksOf(message).length > 0)) continue;
    const given = message?.given.at(-1);
    const times = `given ${message?.given.length ?? 0} times`;
    const text = `${name}, offset ${offset}: neither acknowledged nor dead, ${times}`;
    yield { text, lines: [...(given === undefined ? [] : [given.receive.line]), line] };
  }
}

/** A dead letter has had all its attempts; the last one ran out, or its holder gave it back. */
function* tooSoon(drained: Line<'drained'>, queues: ByQueue): Generator<Finding> {
  const name = nameOf(drained.group, logOf(drained));
  const messages = queues.get(name);
  for (const { offset, attempts, cause } of drained.dead) {
    const { given = [], settled = [] } = messages?.get(offset) ?? {};
    const last = given.find(({ attempt }) => attempt === ATTEMPTS_MAX);
    const isGivenBack = settled.some(
      ({ fence, settle, status }) =>
        settle.verdict === 'nack' && fence === last?.fence && mayHaveCounted(settle, status),
    );
    if (attempts === ATTEMPTS_MAX && (cause !== 'NACKED' || isGivenBack)) continue;
    const text = `${name}, offset ${offset}: a dead letter after ${attempts} attempts, ${cause}`;
    const known = given.at(-1);
    yield { text, lines: [...(known === undefined ? [] : [known.receive.line]), drained.line] };
  }
}
