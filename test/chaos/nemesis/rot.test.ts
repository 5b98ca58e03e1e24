import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cutLog, flipLog } from '../../../chaos/nemesis/rot-log.ts';
import { flipState } from '../../../chaos/nemesis/rot-state.ts';
import { fakeStage } from './fake-stage.ts';

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

  it('is skipped where there is no such file', async () => {
    const { stage, of } = withLog(1);
    expect(await flipState.strike(stage, 10)).toMatchObject({
      state: 'skipped',
      text: 'node 3 has no state',
    });
    expect(of(3).isRunning).toBe(true);
  });
});
