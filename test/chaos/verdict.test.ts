import { describe, expect, it } from 'vitest';
import { type HistoryEvent, parseHistory } from '../../chaos/history.ts';
import { asJson, asText, exitCode } from '../../chaos/report.ts';
import { judge } from '../../chaos/verdict.ts';
import { end, fault, finalRead, leader, open, prepare, produce, read } from './histories.ts';

const WRITES = 120;
const values = Array.from({ length: WRITES }, (_, i) => `a.${i}`);
const writes = values.map((_, i) => produce(i, 1, i, { completedMs: 10 + i }));
const start: HistoryEvent = {
  type: 'start',
  scenario: 'kill-leader',
  seed: 7,
  nodes: 2,
  queues: 1,
  level: 'majority_fsync',
  nemeses: ['kill-leader'],
  atMs: 0,
};
/** A leader is known, one is hit, and there is a new one. */
const attack = [leader(1, 4), fault(50), leader(70, 5)];
const stop: HistoryEvent = { type: 'stop', atMs: 2500 };
const finals = [...finalRead(values), ...finalRead(values, { node: 2 })];
/** 99 a second. */
const slow = [
  ...writes.map((write, i) => ({ ...write, invokedMs: 0, completedMs: (1000 / 99) * i })),
  ...finals,
];
const clean: readonly HistoryEvent[] = [start, ...writes, ...attack, ...finals, stop];

describe('a clean history', () => {
  it('passes, with its numbers', () => {
    expect(judge(clean)).toMatchObject({
      verdict: 'pass',
      scenario: 'kill-leader',
      seed: 7,
      nodes: 2,
      faults: { 'kill-leader': { installed: 1, skipped: 0, indeterminate: 0 } },
      acked: WRITES,
      acked_operations: WRITES,
      longest_gap_ms: { median: 1, p99: 1, worst: 1 },
      gaps_ms: { 'kill-leader': { median: 1, p99: 1, worst: 1 } },
      seconds: 2.5,
      reasons: [],
    });
  });

  it('counts the messages of transactions whose commit was acknowledged, each once', () => {
    const several = { others: [{ queue: 0, topic: 'w', values: ['t.1', 't.2'] }] };
    const judgement = judge([
      ...clean,
      ...[prepare('t', ['t.0'], several), prepare('t', ['t.0'], several)],
      ...[end('t', 'commit', { outcome: 'unknown' }), end('t', 'commit', { baseOffset: WRITES })],
      ...[prepare('back', ['back.0']), end('back', 'rollback')],
      ...[prepare('open', ['open.0']), end('open', 'commit', { outcome: 'unknown' })],
    ]);
    expect(judgement.acked).toBe(WRITES + 3);
  });

  it('reads back from its lines', () => {
    const text = clean.map((event) => `${JSON.stringify(event)}\n`).join('');
    expect(parseHistory(text)).toEqual(clean);
  });
});

const lost = [produce(WRITES, 1, WRITES), read(WRITES + 1, ['a.9'])];

describe('what is broken fails', () => {
  it('with its property, and the lines that show it', () => {
    const judgement = judge([...clean, ...lost]);
    expect(judgement.verdict).toBe('fail');
    expect(judgement.counts).toMatchObject({ 'lost-write': 1, duplicate: 1, phantom: 0 });
    expect(judgement.reasons[0]).toMatch(/^lost-write: .*a\.120 .*\(lines 130, 131\)$/);
  });

  it('trouble', () => {
    const trouble = { type: 'trouble', atMs: 1, process: 'p', text: 'SEQUENCE_GAP' } as const;
    expect(judge([...clean, trouble]).verdict).toBe('fail');
  });
});

describe('what proves nothing is invalid', () => {
  const without = (...types: string[]) => clean.filter(({ type }) => !types.includes(type));
  const another = [fault(100, { nemesis: 'pause', movesLeader: false }), leader(120, 5)];

  it.each<[string, readonly HistoryEvent[]]>([
    ['an empty history', []],
    ['no fault', without('fault')],
    ['none that took', [...without('fault'), fault(50, { state: 'indeterminate' })]],
    ['one kind skipped', [{ ...start, nemeses: ['kill-leader', 'halves'] }, ...clean.slice(1)]],
    ['no fault asked for', [{ ...start, nemeses: [] }, ...clean.slice(1)]],
    ['no new leader', without('leader')],
    ['a new leader only before', [...without('leader'), leader(1, 4), leader(30, 5)]],
    ['a new leader only by the next fault', [...without('leader'), leader(1, 4), ...another]],
    ['too little load before', [start, leader(1, 4), leader(70, 5), fault(1500), ...slow, stop]],
    ['no final read', without('final')],
    ['a final read through one node only', [...without('final', 'read'), ...finalRead(values)]],
    ['broken off', without('stop')],
  ])('%s', (_, history) => {
    expect(judge(history).verdict).toBe('invalid');
  });

  it('a new leader counts however long a slow machine took for it', () => {
    expect(judge([...without('leader'), leader(1, 4), leader(20_000, 5)]).verdict).toBe('pass');
  });

  it('the load counts as it was right before the fault, however slowly it began', () => {
    const later = (at: number) => ({ invokedMs: at, completedMs: at });
    const many = Array.from({ length: 600 }, (_, i) => produce(i, 1, i, later(20_000 + 8 * i)));
    const all = finalRead(
      many.flatMap((write) => write.values),
      later(30_000),
    );
    const attacked = [leader(1, 4), fault(25_000), leader(25_100, 5), stop];
    const slowly = { ...produce(0, 1, 0, { outcome: 'ok' }), ...later(100) };
    const { reasons } = judge([start, slowly, ...many.slice(1), ...all, ...attacked]);
    expect(reasons.join()).not.toContain('acknowledged operations a second');
  });

  it('an anomaly in an invalid run is still a failure', () => {
    expect(judge([...without('fault'), ...lost]).verdict).toBe('fail');
  });
});

describe('the report', () => {
  it('as JSON: one line, flat counts', () => {
    const json = asJson(judge(clean));
    expect(json).not.toContain('\n');
    expect(JSON.parse(json)).toMatchObject({
      verdict: 'pass',
      faults: { 'kill-leader': { installed: 1 } },
      acked: WRITES,
      'lost-write': 0,
      duplicate: 0,
      'send-order': 0,
      longest_gap_ms: { median: 1, p99: 1, worst: 1 },
    });
  });

  it('as text: ends with the verdict and names at most 20 reasons', () => {
    const unread = Array.from({ length: 30 }, (_, i) => produce(WRITES + i, 1, WRITES + i));
    const text = asText(judge([...clean, ...unread]));
    expect(text).toContain('and 10 more');
    expect(text.endsWith('verdict: fail')).toBe(true);
  });

  it('says how many transactions ended how', () => {
    const ids = ['shown', 'committed', 'back', 'parked', 'undecided', 'never', 'lost'];
    const half = (id: string) =>
      prepare(id, [`${id}.0`], id === 'never' ? { outcome: 'unknown' } : {});
    const listed = (['parked', 'undecided'] as const).map((transaction) => {
      return { transaction, state: transaction === 'parked' ? 'PARKED' : 'UNDECIDED' } as const;
    });
    const judgement = judge([
      ...ids.map(half),
      ...[end('committed', 'commit'), end('back', 'rollback')],
      ...['shown', 'lost'].map((id) => end(id, 'commit', { outcome: 'unknown' })),
      ...[read(0, ['shown.0']), open([], { transactions: listed })],
    ]);
    expect(judgement.transactions).toEqual({
      ...{ begun: 7, committed: 2, rolled_back: 1, undecided: 1, parked: 1 },
      ...{ not_prepared: 1, unanswered: 1 },
    });
    const text = '7 transactions: 2 committed, 1 rolled back, 1 undecided, 1 parked';
    expect(asText(judgement)).toContain(text);
    expect(asText(judge(clean))).not.toContain('transactions:');
  });

  it('exit codes', () => {
    expect(exitCode(['pass', 'pass'])).toBe(0);
    expect(exitCode(['pass', 'invalid'])).toBe(3);
    expect(exitCode(['invalid', 'fail'])).toBe(1);
    expect(exitCode([])).toBe(3);
  });
});
