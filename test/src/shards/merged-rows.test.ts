import path from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { StateFlush } from '../../../src/shards/state-flush.ts';
import { inspectState } from '../../../storage/inspect-state.ts';
import { openLevelState } from '../../../storage/level-state.ts';
import { FakeStateStore } from '../../harness/fake-state-store.ts';
import { RowHistory, type Step } from '../../harness/row-history.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

const ALL = 1000;

const step: fc.Arbitrary<Step> = fc.tuple(fc.nat(99), fc.nat(ALL), fc.nat(ALL));
const steps = fc.array(step, { maxLength: 80 });
/** The counts of rows that this state was built again without. */
const lost = fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 6 });

/** False: it was none of them. */
function change(history: RowHistory, [kind, a, b]: Step): boolean {
  if (kind < 20) history.append(1 + (a % 3));
  else if (kind < 40) history.merge(a, 1 + (b % 4));
  else if (kind < 44) history.drop(a % 4);
  else return false;
  return true;
}

function ask(history: RowHistory, [kind, a, b]: Step): void {
  if (kind % 3 === 0) history.search(a, b % 60);
  else history.read(a, kind % 3 === 1 ? ALL : 1 + (b % 4));
}

/** Whenever LevelDB gets to write, to remove rows and to answer. */
function act(history: RowHistory, store: FakeStateStore, one: Step): void {
  const [kind, a, b] = one;
  if (change(history, one)) return;
  history.mark(a % 4);
  if (kind < 60) store.finishWrite();
  else if (kind < 64) store.dropRows(b % 4);
  else if (kind < 82) store.finishRead();
  else ask(history, one);
}

it('the index answers what a plain list of its rows would, whatever was written when', () => {
  const rigs = fc.record({ lost, maxRowsPerQueue: fc.nat(6), readsLate: fc.boolean() });
  const run = fc.property(rigs, steps, steps, fc.nat(ALL), (rig, rebuilding, running, pick) => {
    const store = new FakeStateStore();
    store.readsLate = rig.readsLate;
    const flush = new StateFlush(store, { maxRowsPerQueue: rig.maxRowsPerQueue });
    const history = new RowHistory(flush, rig.lost);
    for (const one of rebuilding) {
      if (!change(history, one) && one[0] < 70) history.mark(one[1] % 4);
      if (one[0] >= 70) store.finishWrite();
    }
    history.recreate(pick);
    for (const one of running) act(history, store, one);
    history.mark(0);
    while (store.finishRead());
    history.readAll();
    while (store.finishRead());
    while (store.finishWrite());
    store.dropRows(ALL);
    expect(store.rows).toEqual(history.rows);
    history.readAll();
    while (store.finishRead());
    if (history.failure !== undefined) throw history.failure;
    expect(history.waiting).toBe(0);
  });
  fc.assert(run, { numRuns: 1000 });
});

it('LevelDB answers the same, and holds it without a gap', async () => {
  const many = fc.array(step, { minLength: 150, maxLength: 150 });
  const run = fc.asyncProperty(lost, many, async (lostCounts, running) => {
    const top = temporaryDirectory();
    const directory = path.join(top, 'state');
    const onFatal = (error: Error): void => {
      throw error;
    };
    const options = { directory, identity: 'node 1', logEnds: new Map(), batchDelayMs: 0, onFatal };
    const state = await openLevelState(options);
    await state.completeBuild();
    const history = new RowHistory(new StateFlush(state, { maxRowsPerQueue: 2 }), lostCounts);
    history.append(1);
    history.recreate(1);
    for (const one of running) {
      if (change(history, one)) continue;
      history.mark(one[1] % 4);
      if (one[0] < 80) ask(history, one);
      else await new Promise(setImmediate);
    }
    history.mark(0);
    await state.flush();
    history.readAll();
    while (history.waiting > 0) await new Promise(setImmediate);
    await state.close();
    if (history.failure !== undefined) throw history.failure;
    const { problems, queues } = await inspectState(top, true);
    expect(problems).toEqual([]);
    // Nothing is there if all of it was dropped; then it may be on its way out.
    if (history.rows.length > 0) expect(queues[0]?.endOffset).toBe(history.endOffset);
  });
  await fc.assert(run, { numRuns: 5, endOnFailure: true });
});
