import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { readBack } from '../../../chaos/nemesis/reading-back.ts';
import { cutLog, flipLog } from '../../../chaos/nemesis/rot-log.ts';
import { flipMarker } from '../../../chaos/nemesis/rot-marker.ts';
import { flipRunningLog, flipRunningState } from '../../../chaos/nemesis/rot-running.ts';
import { flipState } from '../../../chaos/nemesis/rot-state.ts';
import { fakeStage } from './fake-stage.ts';

vi.mock('../../../chaos/nemesis/reading-back.ts');

const INTACT = Buffer.concat([Buffer.alloc(900), Buffer.alloc(100, 0xa5)]);

function withLog(seed: number) {
  const on = fakeStage(seed);
  const folder = join(on.of(3).data, 'log');
  mkdirSync(folder);
  const file = join(folder, '00000001.log');
  writeFileSync(file, INTACT);
  writeFileSync(join(folder, 'marker'), INTACT);
  return { ...on, file, marker: join(folder, 'marker') };
}

describe('damage under a node that runs', () => {
  const withSegments = (ends: 'not' | 'with DATA_LOSS' | 'for no reason') => {
    const on = withLog(1);
    const newest = join(on.file, '..', '00000002.log');
    writeFileSync(newest, INTACT);
    if (ends === 'for no reason') on.of(3).lastWords = 'holdfast: a bug';
    vi.mocked(readBack).mockImplementation(async () => {
      on.of(3).steps.push('read');
      on.of(3).isRunning = ends === 'not';
      return { answers: 2, refusals: 1 };
    });
    return { ...on, newest };
  };

  it('hits what is closed, in place, and asks for it', async () => {
    const { stage, of, file, newest, troubles } = withSegments('not');
    const { state, text } = await flipRunningLog.strike(stage, 10);
    expect({ state, text }).toEqual({
      state: 'installed',
      text: expect.stringMatching(/^log\/00000001\.log: bits .*; 1 refusals, 2 answers$/),
    });
    expect(of(3).steps).toEqual(['read', 'start']);
    expect(readFileSync(file)).not.toEqual(INTACT);
    expect(readFileSync(newest)).toEqual(INTACT);
    expect(troubles).toEqual([]);
  });

  it.each([
    ['with DATA_LOSS', 0],
    ['for no reason', 1],
  ] as const)('may end it %s', async (ends, count) => {
    const { stage, of, troubles } = withSegments(ends);
    const { text } = await flipRunningLog.strike(stage, 10);
    expect(text).toContain('it ended');
    expect(of(3).isRunning).toBe(true);
    expect(troubles).toHaveLength(count);
  });

  it('has one closed by a restart', async () => {
    const { stage, of, file } = withLog(1);
    of(3).onStep = (step) => {
      if (step === 'start') writeFileSync(join(file, '..', '00000002.log'), INTACT);
    };
    vi.mocked(readBack).mockImplementation(async () => ({ answers: 1, refusals: 0 }));
    expect(await flipRunningLog.strike(stage, 10)).toMatchObject({ state: 'installed' });
    expect(of(3).steps).toEqual(['stop', 'start', 'start']);
    expect(readFileSync(file)).not.toEqual(INTACT);
  });

  it('is skipped where no file is closed all the same', async () => {
    const { stage } = withLog(1);
    expect(await flipRunningLog.strike(stage, 10)).toMatchObject({ state: 'skipped' });
    expect(await flipRunningState.strike(stage, 10)).toMatchObject({ state: 'skipped' });
  });
});

const SEEDS = Array.from({ length: 20 }, (_, seed) => seed);

describe('damage of bytes at rest', () => {
  it.each(SEEDS)(
    'flips a few bits that mean something, of a stopped node (seed %d)',
    async (seed) => {
      const { stage, of, file, marker } = withLog(seed);
      let damaged = INTACT;
      of(3).onStep = (step) => {
        if (step === 'start') damaged = readFileSync(file);
      };
      expect(await flipLog.strike(stage, 10)).toMatchObject({ state: 'installed', nodes: [3] });
      expect(of(3).steps).toEqual(['stop', 'start', 'hold 10', 'start']);
      expect(damaged).toHaveLength(INTACT.length);
      const changed = [...damaged.keys()].filter((at) => damaged[at] !== INTACT[at]);
      expect(changed.length).toBeLessThanOrEqual(3);
      expect(changed.every((at) => at >= 900)).toBe(true);
      expect(readFileSync(marker)).toEqual(INTACT);
    },
  );

  it('cuts a file short', async () => {
    const { stage, file } = withLog(1);
    await cutLog.strike(stage, 10);
    const left = readFileSync(file);
    expect(left.length).toBeLessThan(INTACT.length);
    expect(left).toEqual(INTACT.subarray(0, left.length));
  });

  it('is taken back when the node refuses to serve with it', async () => {
    const { stage, of, file, troubles } = withLog(1);
    of(3).onStep = (step) => {
      if (step === 'hold 10') of(3).isRunning = false;
    };
    const { text } = await flipLog.strike(stage, 10);
    expect(text).toContain('refused to serve');
    expect(readFileSync(file)).toEqual(INTACT);
    expect(of(3).isRunning).toBe(true);
    expect(troubles).toEqual([]);
  });

  it('hits the marker of the log, and nothing beside it', async () => {
    const { stage, of, file, marker } = withLog(1);
    let damaged = INTACT;
    of(3).onStep = (step) => {
      if (step === 'start') damaged = readFileSync(marker);
    };
    expect(await flipMarker.strike(stage, 10)).toMatchObject({ state: 'installed' });
    expect(damaged).not.toEqual(INTACT);
    expect(readFileSync(file)).toEqual(INTACT);
  });

  it("leaves another fault's node alone", async () => {
    const { stage, of, file } = withLog(1);
    const taken = { ...stage, isTaken: () => true };
    for (const { strike } of [flipLog, flipRunningLog]) {
      expect(await strike(taken, 10)).toMatchObject({ state: 'indeterminate' });
    }
    expect(readFileSync(file)).toEqual(INTACT);
    expect(of(3).steps).toEqual([]);
  });

  it('is skipped where there is no such file', async () => {
    const { stage, of } = withLog(1);
    expect(await flipState.strike(stage, 10)).toMatchObject({
      state: 'skipped',
      text: 'node 3 has no state',
    });
    expect(of(3).isRunning).toBe(true);
  });
});
