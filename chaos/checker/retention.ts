/** P20: the start of a queue only rises, and takes nothing before its time. */
import { ackOf, effectFromMs, type Facts, type Look, listOf, type Send } from './facts.ts';
import type { Finding, Property } from './property.ts';
import { countBelow } from './sorted.ts';

/** Between the clock of a run and that of a shard, which follows the median of its voters. */
const CLOCK_TOLERANCE_MS = 1000;

export const retention: Property = {
  id: 'P20',
  name: 'retention',
  says: 'A start never falls, never passes the end, and takes nothing before its time.',
  *find(facts) {
    const logs = new Map<string, Look[]>();
    for (const look of facts.looks) {
      facts.bound.step();
      listOf(logs, look.log).push(look);
    }
    const sends = new Map<string, Send[]>();
    for (const send of facts.sends) listOf(sends, send.log).push(send);
    const keptMs = retentionsOf(facts);
    for (const [log, looks] of logs) {
      yield* falls(facts, log, looks);
      const kept = keptMs.get(looks[0]?.topic ?? '') ?? Infinity;
      yield* tooEarly(facts, looks, sends.get(log) ?? [], kept);
    }
  },
};

function retentionsOf(facts: Facts): Map<string, number> {
  return new Map(
    facts
      .of('topic')
      .flatMap(({ topic, retentionMs }) =>
        topic === undefined || retentionMs === undefined ? [] : [[topic, retentionMs] as const],
      ),
  );
}

/** A node that is behind may show an older start, not one that a linearizable fetch has seen. */
function* falls(facts: Facts, log: string, looks: readonly Look[]): Generator<Finding> {
  const ended = [...looks].sort((a, b) => a.completedMs - b.completedMs);
  let highest: Look | undefined;
  let at = 0;
  for (const look of [...looks].sort((a, b) => a.invokedMs - b.invokedMs)) {
    facts.bound.step();
    const { startOffset, endOffset, linearizable, line } = look;
    for (; at < ended.length && ended[at]!.completedMs < look.invokedMs; at++) {
      if (ended[at]!.startOffset > (highest?.startOffset ?? 0)) highest = ended[at];
    }
    if (startOffset > endOffset) {
      yield { text: `${log}: starts at ${startOffset}, ends at ${endOffset}`, lines: [line] };
    }
    if (!linearizable || startOffset >= (highest?.startOffset ?? 0)) continue;
    const text = `${log}: started at ${highest!.startOffset}, then at ${startOffset}`;
    yield { text, lines: [highest!.line, line] };
  }
}

/** The first one. */
function* tooEarly(
  facts: Facts,
  looks: readonly Look[],
  sends: readonly Send[],
  keptMs: number,
): Generator<Finding> {
  const ended = [...looks].sort((a, b) => a.completedMs - b.completedMs);
  const starts: number[] = [];
  for (const { startOffset } of ended) starts.push(Math.max(startOffset, starts.at(-1) ?? 0));
  for (const send of sends) {
    facts.bound.step();
    const ack = ackOf(send);
    if (ack?.baseOffset === undefined) continue;
    const gone = ended[countBelow(starts, ack.baseOffset + 1)];
    // An attempt without an answer may have stored it.
    const dueMs = (effectFromMs(send.attempts) ?? 0) + keptMs - CLOCK_TOLERANCE_MS;
    if (gone === undefined || gone.completedMs >= dueMs) continue;
    const what = `${send.log}: offset ${ack.baseOffset} was gone`;
    const early = `${Math.round(dueMs - gone.completedMs)} ms before its time`;
    yield { text: `${what} ${early}`, lines: [ack.line, gone.line] };
    return;
  }
}
