import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Probe } from '../../../chaos/cluster/probe.ts';
import { nemesisNamed } from '../../../chaos/nemesis/list.ts';
import { FakeStage } from './fake-network.ts';

const SILENT: Probe = { end: 'silent', ms: 500 };
const HOLD_MS = 2000;

/** Who is who depends on the seed: the acts with places for numbers. */
const shape = (acts: readonly string[]) => acts.map((act) => act.replace(/[\d-]+/g, '#'));

describe('part-kill', () => {
  const { strike } = nemesisNamed('part-kill');

  it('A away, X killed, A back, the rest away, X started', async () => {
    const fake = new FakeStage({ during: SILENT });
    const struck = await strike(fake.stage(), HOLD_MS);
    expect(struck.state).toBe('installed');
    const cut = 'silence # #';
    const [first, , killed, , second] = fake.acts;
    expect(shape(fake.acts)).toEqual(
      [
        [`${cut} # #`, 'hold', 'kill #', 'release'],
        [cut, cut, 'start #', 'hold', 'release', 'release'],
      ].flat(),
    );
    // Who is away comes first, with links to both others; the dead one's are cut unproved.
    expect(first?.at(8)).not.toBe(second?.at(8));
    expect([first?.at(8), second?.at(8)]).not.toContain(killed?.at(-1));
  });

  it('part-cut: the same, and X loses what it had not synced', async () => {
    const fake = new FakeStage({ during: SILENT });
    const struck = await nemesisNamed('part-cut').strike(fake.stage(), HOLD_MS);
    expect(struck).toMatchObject({
      state: 'installed',
      text: expect.stringContaining('lost 1 bytes'),
    });
    const acts = shape(fake.acts);
    const dies = ['slow # by #', 'hold', 'kill #', 'slow # by #', 'power #'];
    expect(acts.slice(1, 8)).toEqual(['hold', ...dies, 'release']);
    const victims = fake.acts.slice(2, 7).map((act) => act.split(' ')[1]);
    expect(new Set(victims.filter(Boolean)).size).toBe(1);
    expect(acts.slice(-4)).toEqual(['start #', 'hold', 'release', 'release']);
  });

  it('part-cut that took nothing is not installed', async () => {
    const fake = new FakeStage({ during: SILENT, lostBytes: 0 });
    expect(await nemesisNamed('part-cut').strike(fake.stage(), HOLD_MS)).toMatchObject({
      state: 'indeterminate',
      text: expect.stringContaining('every byte had reached the disk'),
    });
  });

  it('is not installed when bytes get through', async () => {
    expect(await strike(new FakeStage().stage(), HOLD_MS)).toMatchObject({
      state: 'indeterminate',
    });
  });
});

it('pause-kill: A still, all others killed, A goes on, X starts, then the rest', async () => {
  const fake = new FakeStage();
  const struck = await nemesisNamed('pause-kill').strike(fake.stage(), HOLD_MS);
  expect(shape(fake.acts)).toEqual([
    ...['pause #', 'hold', 'kill #', 'kill #', 'resume #'],
    ...['start #', 'hold', 'start #'],
  ]);
  // Nobody saw the process stop.
  expect(struck.state).toBe(process.platform === 'linux' ? 'indeterminate' : 'installed');
});

it.each([
  [3, 2],
  [5, 3],
])('pause-majority: of %i nodes %i, one by one, and back in any order', async (nodes, count) => {
  const fake = new FakeStage({ nodes });
  const struck = await nemesisNamed('pause-majority').strike(fake.stage(), HOLD_MS);
  const each = (what: string) => Array.from({ length: count }, () => [what, 'hold']).flat();
  expect(shape(fake.acts)).toEqual([...each('pause #'), 'hold', ...each('resume #')]);
  expect(new Set(struck.nodes).size).toBe(count);
  expect(struck.state).toBe(process.platform === 'linux' ? 'indeterminate' : 'installed');
});

describe('stall', () => {
  const { strike } = nemesisNamed('stall');
  afterEach(() => void vi.useRealTimers());

  it.each([
    ['installed', [20, 1500]],
    ['indeterminate', [20, 30]],
    ['indeterminate', [1500, 1500]],
  ] as const)('%s', async (state, answers) => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const times = [...answers];
    const fake = new FakeStage({ view: () => void vi.advanceTimersByTime(times.shift() ?? 0) });
    expect(await strike(fake.stage(), HOLD_MS)).toMatchObject({ state, nodes: [2], queues: [1] });
    expect(fake.acts).toEqual(['signal 2', 'hold']);
  });
});

describe('a node that comes back with nothing', () => {
  const folder = () => {
    const data = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
    onTestFinished(() => rmSync(data, { recursive: true, force: true }));
    return data;
  };
  const replaced = ['remove 2 past 2', 'kill 2', 'add --no-wait --config c.yaml past 2', 'start 2'];

  it.each([
    ['wipe', ['kill 2', 'hold', ...replaced]],
    ['members', ['hold', ...replaced]],
  ])('%s', async (name, acts) => {
    const data = folder();
    const fake = new FakeStage({ data });
    const struck = await nemesisNamed(name).strike(fake.stage(), HOLD_MS);
    expect(struck).toMatchObject({ state: 'installed', nodes: [2], queues: [1] });
    expect(fake.acts).toEqual(acts);
    expect(existsSync(data)).toBe(false);
  });

  it('is removed once the cluster can do without it', async () => {
    const fake = new FakeStage({ data: folder(), refusesCommandsUntil: 4 });
    await nemesisNamed('members').strike(fake.stage(), HOLD_MS);
    const [remove, ...rest] = replaced;
    expect(fake.acts).toEqual(['hold', remove, 'hold', remove, 'hold', remove, ...rest]);
  });

  it('is gone when another node says so, whatever became of the command', async () => {
    const view = () => ({ nodes: [{ id: 1 }, { id: 3 }] });
    const fake = new FakeStage({ data: folder(), refusesCommandsUntil: 2, view });
    await nemesisNamed('members').strike(fake.stage(), HOLD_MS);
    expect(fake.acts).toEqual(['hold', ...replaced]);
  });
});
