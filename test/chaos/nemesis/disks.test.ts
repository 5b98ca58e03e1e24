import { describe, expect, it, vi } from 'vitest';
import { clockJump } from '../../../chaos/nemesis/clock-jump.ts';
import { diskFull } from '../../../chaos/nemesis/disk-full.ts';
import { diskFullAll } from '../../../chaos/nemesis/disk-full-all.ts';
import { fsyncError } from '../../../chaos/nemesis/fsync-error.ts';
import { powerCut } from '../../../chaos/nemesis/power-cut.ts';
import { powerCutAll } from '../../../chaos/nemesis/power-cut-all.ts';
import { readError } from '../../../chaos/nemesis/read-error.ts';
import { readBack } from '../../../chaos/nemesis/reading-back.ts';
import { slowDisk } from '../../../chaos/nemesis/slow-disk.ts';
import { writeError } from '../../../chaos/nemesis/write-error.ts';
import { fakeStage } from './fake-stage.ts';

vi.mock('../../../chaos/nemesis/reading-back.ts');

describe('a power cut', () => {
  it('kills, takes back what was not synced, waits, starts', async () => {
    const { stage, of } = fakeStage();
    const strike = await powerCut.strike(stage, 700);
    expect(of(2).steps).toEqual([
      'slow 100',
      'hold 500',
      'kill',
      'slow 0',
      'cut',
      'hold 700',
      'start',
    ]);
    expect(of(1).steps).toEqual(['hold 500', 'hold 700']);
    expect(strike).toMatchObject({ state: 'installed', nodes: [2], queues: [0] });
    expect(strike.text).toContain('lost 100 bytes of log/1');
  });

  it('of all nodes comes after the last of them was killed', async () => {
    const { stage, of } = fakeStage();
    of(1).onStep = (step) => {
      if (step === 'cut') expect(of(3).isRunning).toBe(false);
    };
    expect(await powerCutAll.strike(stage, 1)).toMatchObject({ state: 'installed' });
    for (const node of [1, 2, 3]) expect(of(node).steps).toContain('cut');
  });

  it('proves nothing when the shim saw no syncs of LevelDB, or took nothing back', async () => {
    const blind = fakeStage();
    blind.of(2).seen.stdioSyncs = 0;
    expect(await powerCut.strike(blind.stage, 1)).toMatchObject({
      state: 'indeterminate',
      text: 'no syncs seen of node 2',
    });
    const clean = fakeStage();
    clean.of(2).cut = { files: [], lostBytes: 0, tornWrites: 0, undoneNames: 0 };
    expect((await powerCut.strike(clean.stage, 1)).state).toBe('indeterminate');
  });
});

describe.each([
  [fsyncError, 'failedSyncs', /^fail [1-9]/, 'fail 0', /^node 2 goes on after a sync that failed$/],
  [
    ...([writeError, 'failedWrites', /^fail write [1-9]\d* (?:log|state)$/] as const),
    ...([/^fail write 0 /, /^node 2 goes on after a write of the (?:log|state) that/] as const),
  ],
] as const)('$name', ({ strike }, count, on, off, trouble) => {
  function failing(ends: boolean) {
    const fake = fakeStage();
    fake.of(2).onStep = (step) => {
      if (!step.startsWith('hold')) return;
      fake.of(2).seen[count] = 1;
      if (ends) fake.of(2).isRunning = false;
    };
    return fake;
  }

  it('ends the node, which is started again', async () => {
    const { stage, of, troubles } = failing(true);
    expect((await strike(stage, 100)).state).toBe('installed');
    expect(of(2).steps[0]).toMatch(on);
    expect(of(2).steps[2]).toMatch(off);
    expect(of(2).steps.at(-1)).toBe('start');
    expect(troubles).toEqual([]);
  });

  it('is trouble when the node goes on', async () => {
    const { stage, troubles } = failing(false);
    expect((await strike(stage, 100)).state).toBe('indeterminate');
    expect(troubles).toEqual([expect.stringMatching(trouble)]);
  });

  it('may find nothing to fail', async () => {
    const { stage, of } = fakeStage();
    expect((await strike(stage, 100)).state).toBe('indeterminate');
    expect(of(2).isRunning).toBe(true);
  });
});

describe('reads that fail', () => {
  const play = async (failed: number, ends: boolean, isCached = false) => {
    const fake = fakeStage();
    const node = fake.of(2);
    node.onStep = (step) => {
      if (step !== 'start' || node.steps.at(-2) !== 'stop') return;
      node.seen.failedReads = failed;
      node.isRunning = !ends;
    };
    vi.mocked(readBack).mockImplementation(async () => {
      node.seen.failedReads = isCached ? 0 : failed;
      node.steps.push('read');
      if (ends && !isCached) node.isRunning = false;
      return { answers: 1, refusals: failed };
    });
    return { ...fake, struck: await readError.strike(fake.stage, 100) };
  };

  it.each([0, 3])('count when they were met (%i)', async (failed) => {
    const { of, struck } = await play(failed, false);
    expect(struck.state).toBe(failed > 0 ? 'installed' : 'indeterminate');
    expect(of(2).steps[0]).toMatch(/^fail reads log/);
    const restarts = failed > 0 ? [] : ['stop', 'start', 'hold 5000'];
    expect(of(2).steps.slice(1)).toEqual(['read', ...restarts, 'fail reads ', 'start']);
  });

  it('are met at a start where all that was asked for is in memory', async () => {
    const { of, struck, troubles } = await play(3, true, true);
    expect(struck).toMatchObject({ state: 'installed', text: expect.stringMatching('at a start') });
    expect(of(2).steps.slice(-5)).toEqual(['stop', 'start', 'hold 5000', 'fail reads ', 'start']);
    expect(of(2).isRunning).toBe(true);
    expect(troubles).toEqual([]);
  });

  it('may end the node, which is started again', async () => {
    const { of, struck, troubles } = await play(3, true);
    expect(struck).toMatchObject({ state: 'installed', text: expect.stringMatching('ended') });
    expect(of(2).isRunning).toBe(true);
    expect(troubles).toEqual([]);
  });
});

it('all disks are full when each of them was met', async () => {
  const { stage, of } = fakeStage();
  of(1).onStep = (step) => {
    if (step.startsWith('hold')) for (const node of [1, 2]) of(node).seen.refusedWrites = 1;
  };
  expect((await diskFullAll.strike(stage, 300)).state).toBe('indeterminate');
});

it('clocks jump on a minority only', async () => {
  for (let seed = 0; seed < 20; seed++) {
    const { nodes } = await clockJump.strike(fakeStage(seed).stage, 1);
    expect(nodes).toHaveLength(1);
  }
});

it.each([
  [diskFull, 'refusedWrites', /^full (?:yes|half)$/, 'full no'],
  [diskFullAll, 'shortWrites', /^full (?:yes|half)$/, 'full no'],
  [slowDisk, 'delayedSyncs', /^slow [1-9]/, 'slow 0'],
  [clockJump, 'shiftedClockReads', /^clock -?[1-9]/, 'clock 0'],
] as const)(
  '$name is on for a while, and counts when it was met',
  async (nemesis, count, on, off) => {
    for (const isMet of [true, false]) {
      const { stage, of } = fakeStage();
      for (const node of [1, 2, 3]) {
        of(node).seen[count] = 7;
        of(node).onStep = (step) => {
          if (isMet && step === 'hold 300') of(node).seen[count] += 1;
        };
      }
      const { state, nodes } = await nemesis.strike(stage, 300);
      expect(state).toBe(isMet ? 'installed' : 'indeterminate');
      for (const node of nodes) {
        expect(of(node).steps[0]).toMatch(on);
        expect(of(node).steps.slice(1, 3)).toEqual(['hold 300', off]);
      }
    }
  },
);
