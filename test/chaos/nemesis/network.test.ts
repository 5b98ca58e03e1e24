import { describe, expect, it } from 'vitest';
import type { Probe } from '../../../chaos/cluster/probe.ts';
import { NEMESES, nemesisNamed } from '../../../chaos/nemesis/list.ts';
import { proves } from '../../../chaos/nemesis/slowing.ts';
import { FakeStage } from './fake-network.ts';

const SILENT: Probe = { end: 'silent', ms: 500 };
const REFUSED: Probe = { end: 'refused', ms: 1 };
const HOLD_MS = 2000;

/** The first act of each, on three nodes; node 2 is the leader that the seed draws. */
const CUTS: readonly (readonly [string, string, Probe])[] = [
  ['isolate-leader', 'silence 2-1 2-3 1-2 3-2', SILENT],
  ['refuse-leader', 'refuse 2-1 2-3 1-2 3-2', REFUSED],
  ['blackhole', 'silence 2-1 2-3 1-2 3-2 0-2 2-0', SILENT],
  ['one-way-out', 'silence 2-1 2-3', SILENT],
  ['one-way-in', 'silence 1-2 3-2', SILENT],
  ['cut-clients', 'silence 0-2 2-0', SILENT],
  ['refuse-clients', 'refuse 0-2', REFUSED],
];

describe.each(CUTS)('%s', (name, act, during) => {
  const { strike } = nemesisNamed(name);

  it('cuts its links, holds them, gives them back', async () => {
    const fake = new FakeStage({ during });
    const struck = await strike(fake.stage(), HOLD_MS);
    expect(struck).toMatchObject({ state: 'installed', nodes: [2], queues: [1] });
    expect(fake.acts).toEqual([act, 'hold', 'release']);
  });

  it('is not installed when bytes get through', async () => {
    const fake = new FakeStage();
    expect(await strike(fake.stage(), HOLD_MS)).toMatchObject({ state: 'indeterminate' });
    expect(fake.cut).toEqual([]);
  });

  it('proves nothing on a link that gave no answer before', async () => {
    const fake = new FakeStage({ before: during, during });
    expect(await strike(fake.stage(), HOLD_MS)).toMatchObject({ state: 'indeterminate' });
  });
});

describe.each([
  ['halves', 3, 4],
  ['halves', 5, 12],
  ['bridge', 3, 2],
  ['bridge', 5, 8],
  ['majority-ring', 5, 10],
])('%s of %i nodes', (name, nodes, links) => {
  it.each([1, 2, 3, 4, 5])('cuts both ways, and takes it back (seed %i)', async (seed) => {
    const fake = new FakeStage({ nodes, seed, during: SILENT });
    const struck = await nemesisNamed(name).strike(fake.stage(), HOLD_MS);
    expect(struck.state).toBe('installed');
    const names = fake.acts[0]!.split(' ').slice(1);
    expect(new Set(names).size).toBe(links);
    for (const link of names) expect(names).toContain(link.split('-').reverse().join('-'));
    expect(fake.cut).toEqual([]);
  });

  it('is not installed when bytes get through', async () => {
    const strike = nemesisNamed(name).strike(new FakeStage({ nodes }).stage(), HOLD_MS);
    expect(await strike).toMatchObject({ state: 'indeterminate' });
  });
});

describe('latency', () => {
  const { strike } = nemesisNamed('latency');

  it.each<[string, Probe, Probe]>([
    ['installed', { end: 'closed', ms: 3 }, { end: 'closed', ms: 150 }],
    ['indeterminate', { end: 'closed', ms: 3 }, { end: 'closed', ms: 20 }],
    ['indeterminate', { end: 'closed', ms: 150 }, { end: 'closed', ms: 150 }],
    ['indeterminate', { end: 'closed', ms: 3 }, SILENT],
  ])('%s', async (state, before, during) => {
    const fake = new FakeStage({ before, during });
    expect(await strike(fake.stage(), HOLD_MS)).toMatchObject({ state, nodes: [1, 2, 3] });
    expect(fake.acts[0]!.split(' ')).toHaveLength(1 + 6 + 3);
    expect(fake.cut).toEqual([]);
  });
});

describe.each([
  ['resets', 'reset_peer 2-1 2-3 1-2 3-2 0-2'],
  ['reset-clients', 'reset_peer 0-2'],
])('%s', (name, act) => {
  const { strike } = nemesisNamed(name);

  it('come again and again, with pauses', async () => {
    const fake = new FakeStage({ during: { end: 'reset', ms: 1 } });
    const struck = await strike(fake.stage(), HOLD_MS);
    expect(struck).toMatchObject({ state: 'installed', text: 'node 2: 2 of 2 resets seen' });
    expect(fake.acts.filter((one) => one !== 'hold')).toEqual([act, 'release', act, 'release']);
    expect(fake.cut).toEqual([]);
  });

  it('that nobody sees are none', async () => {
    const struck = await strike(new FakeStage().stage(), HOLD_MS);
    expect(struck.state).toBe('indeterminate');
  });
});

describe('beside another fault, which has node 1', () => {
  const taken = [1];

  it.each(['halves', 'bridge', 'isolate-leader', 'swizzle-clog'])(
    '%s is proved on the links of others',
    async (name) => {
      for (const seed of [1, 2, 3, 4, 5]) {
        // The links of a node that is down answer nothing before, and would prove nothing.
        const fake = new FakeStage({ seed, taken, during: SILENT, down: taken });
        const struck = await nemesisNamed(name).strike(fake.stage(), HOLD_MS);
        expect(struck.state).toBe('installed');
        expect(struck.nodes).not.toEqual(taken);
      }
    },
  );

  it('latency and resets are, too', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const late = new FakeStage({ seed, taken, during: { end: 'closed', ms: 150 }, down: taken });
      const struck = await nemesisNamed('latency').strike(late.stage(), HOLD_MS);
      expect(struck.state).toBe('installed');
      const reset = new FakeStage({ seed, taken, during: { end: 'reset', ms: 1 }, down: taken });
      const { text } = await nemesisNamed('resets').strike(reset.stage(), HOLD_MS);
      expect(text).toContain('2 of 2 resets seen');
    }
  });

  it('latency is proved on one link: others may lead to a node that is down', async () => {
    const fake = new FakeStage({ during: { end: 'closed', ms: 150 }, down: [1] });
    const struck = await nemesisNamed('latency').strike(fake.stage(), HOLD_MS);
    expect(struck.state).toBe('installed');
  });

  it('a cut of nothing but its links proves nothing', async () => {
    const fake = new FakeStage({ taken: [1, 2], during: SILENT });
    const strike = nemesisNamed('halves').strike(fake.stage(), HOLD_MS);
    expect(await strike).toMatchObject({ state: 'indeterminate' });
    expect(fake.cut).toEqual([]);
  });
});

it('slow links: as slow as so many bytes have to be, and slower than before', () => {
  const slowness = { type: 'bandwidth', attributes: {}, msFor: () => 600 } as const;
  const bytes = 60_000;
  const after = (before: number, during: number) =>
    proves({ ms: before, bytes }, { ms: during, bytes }, slowness);
  expect(after(5, 620)).toBe(true);
  expect(after(5, 200)).toBe(false);
  expect(after(400, 620)).toBe(true);
  expect(after(500, 620)).toBe(false);
  expect(after(500, 1020)).toBe(true);
});

it('swizzle-clog: silent one by one, heard again one by one, nothing left', async () => {
  const fake = new FakeStage({ nodes: 5, seed: 3, during: SILENT });
  const struck = await nemesisNamed('swizzle-clog').strike(fake.stage(), HOLD_MS);
  expect(struck.state).toBe('installed');
  const count = struck.nodes.length;
  expect(count).toBeGreaterThan(1);
  const kinds = fake.acts.map((act) => act.split(' ')[0]);
  const cuts = Array.from({ length: count }, () => ['silence', 'hold']).flat();
  const ends = Array.from({ length: count }, () => ['release', 'hold']).flat();
  expect(kinds).toEqual([...cuts, ...ends]);
  expect(fake.cut).toEqual([]);
});

it('every fault has a name of its own and one line for people', () => {
  expect(new Set(NEMESES.map(({ name }) => name)).size).toBe(NEMESES.length);
  for (const { does } of NEMESES) expect(does).toMatch(/^\S.{10,90}$/);
});
