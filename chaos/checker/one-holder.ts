/** P22: of the leases of one message only the last one counts, and none begins before its time. */
import type { Facts, Line } from './facts.ts';
import { type Consumed, consumedIn, type Given, mayHaveCounted, Receives } from './leased.ts';
import type { Finding, Property } from './property.ts';

/**
 * How far the time of a shard may be ahead of the clock of the run: by 250 ms (docs/guarantees.md),
 * and both are read at another moment.
 */
const CLOCK_TOLERANCE_MS = 300;
/** Times of the cluster are whole milliseconds, and are rounded once. */
const ROUNDING_MS = 2;

export const oneHolder: Property = {
  id: 'P22',
  name: 'one-holder',
  says:
    'Of a group one consumer at a time has a message: the next lease has a higher token and a ' +
    'higher attempt, begins when the one before is over, and what that holder says then is ' +
    'refused.',
  *find(facts) {
    const receives = new Receives(facts);
    for (const messages of consumedIn(facts).values()) {
      for (const message of messages.values()) {
        facts.bound.step();
        for (let at = 1; at < message.given.length; at++) {
          const [before, next] = [message.given[at - 1]!, message.given[at]!];
          yield* sameLease(message, before, next);
          yield* attempts(message, before, next, receives);
          yield* early(message, before, next);
        }
        yield* stale(facts, message);
      }
    }
  },
};

function whatOf({ name, offset }: Consumed): string {
  return `${name}, offset ${offset}`;
}

function linesOf(before: Given, next: Given): readonly number[] {
  return [before.receive.line, next.receive.line];
}

function* sameLease(message: Consumed, before: Given, next: Given): Generator<Finding> {
  if (before.fence !== next.fence) return;
  const text = `${whatOf(message)}: given twice under the token ${next.fence}`;
  yield { text, lines: linesOf(before, next) };
}

/** Some may have reached nobody; both that are known did. */
function* attempts(
  message: Consumed,
  before: Given,
  next: Given,
  receives: Receives,
): Generator<Finding> {
  const { invokedMs } = before.receive;
  const unseen = receives.between(message.group, invokedMs, next.receive.completedMs) - 2;
  const skipped = next.attempt - before.attempt - 1;
  if (skipped >= 0 && skipped <= unseen) return;
  const text = `${whatOf(message)}: attempt ${before.attempt}, then attempt ${next.attempt}`;
  yield { text, lines: linesOf(before, next) };
}

/** By the cluster's own times of both leases, and by the clock of the run. */
function* early(message: Consumed, before: Given, next: Given): Generator<Finding> {
  const freeMs = freeFromMs(message, before, next);
  if (freeMs === undefined) return;
  const madeMs = next.untilMs - next.receive.leaseMs;
  const earlyMs = Math.max(
    freeMs - ROUNDING_MS - madeMs,
    freeMs - CLOCK_TOLERANCE_MS - next.receive.completedMs,
  );
  if (earlyMs <= 0) return;
  const who = `${before.receive.process} had it when ${next.receive.process} got it`;
  const text = `${whatOf(message)}: ${who}, ${Math.ceil(earlyMs)} ms too early`;
  yield { text, lines: linesOf(before, next) };
}

/** Undefined: what its holder said may have counted or not. */
function freeFromMs(
  { settled }: Consumed,
  { fence, untilMs }: Given,
  next: Given,
): number | undefined {
  const said = settled.filter(({ fence: under, settle, status }) => {
    const isBefore = settle.invokedMs < next.receive.completedMs;
    const hasMoved = settle.verdict !== 'ack' && mayHaveCounted(settle, status);
    return under === fence && isBefore && hasMoved;
  });
  const [only] = said;
  if (only === undefined) return untilMs;
  return said.length === 1 && only.status === 'SETTLED' ? only.dueMs : undefined;
}

/** Who settles under an old token, when another one has the message, is told that it is old. */
function* stale(facts: Facts, message: Consumed): Generator<Finding> {
  for (const { fence, status, settle } of message.settled) {
    facts.bound.step();
    if (status !== 'SETTLED') continue;
    const newer = message.given.find(
      (given) => given.fence > fence && given.receive.completedMs < settle.invokedMs,
    );
    if (newer === undefined) continue;
    yield { text: textOf(message, fence, newer, settle), lines: [newer.receive.line, settle.line] };
  }
}

function textOf(message: Consumed, fence: number, newer: Given, settle: Line<'settle'>): string {
  const who = `${settle.verdict} of ${settle.process} under the token ${fence}`;
  return `${whatOf(message)}: ${who} counted, ${newer.receive.process} has ${newer.fence}`;
}
