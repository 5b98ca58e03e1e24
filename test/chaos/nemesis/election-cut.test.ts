import { describe, expect, it, vi } from 'vitest';
import type { Probe } from '../../../chaos/cluster/probe.ts';
import { nemesisNamed } from '../../../chaos/nemesis/list.ts';
import { FakeStage } from './fake-network.ts';

const SILENT: Probe = { end: 'silent', ms: 500 };
const { strike } = nemesisNamed('election-cut');

/** Who is asked first after the cut says that it leads, as if it had just been elected. */
function electing(options: { during?: Probe; lostBytes?: number; nodes?: number } = {}) {
  const seen = { asked: 0 };
  const fake: FakeStage = new FakeStage({
    during: SILENT,
    ...options,
    view: (node) => {
      const isCut = fake.cut.length > 0;
      if (isCut) seen.asked ||= node;
      const leader = isCut && seen.asked === node ? node : 0;
      return { shards: [1, 2, 3].map((id) => ({ id, leader })) };
    },
  });
  return { fake, seen };
}

/** Without the waits between questions. */
const told = (acts: readonly string[]) => acts.filter((act, at) => act !== acts[at - 1]);

describe('election-cut', () => {
  it('the old leader away, its voters without power, then the new leader away', async () => {
    const { fake, seen } = electing();
    const struck = await strike(fake.stage(), 4000);
    const fresh = seen.asked;
    const [, old] = /^(\d) away/.exec(struck.text ?? '') ?? [];
    const voter = [1, 2, 3].find((node) => node !== fresh && node !== Number(old));
    expect(struck).toMatchObject({ state: 'installed', nodes: [1, 2, 3], queues: [0, 1, 2] });
    expect(struck.text).toMatch(`${old} away, ${fresh} elected by ${voter}; lost 1 bytes of log/1`);
    const acts = told(fake.acts);
    const killed = acts.indexOf(`kill ${voter}`);
    expect(acts.slice(0, killed).filter((act) => act.startsWith('slow'))).toEqual(
      expect.arrayContaining([`slow ${fresh} by 300`, `slow ${voter} by 300`]),
    );
    expect(acts.slice(0, killed).filter((act) => act.startsWith('silence'))).toEqual(
      expect.arrayContaining([
        `silence ${old}-${fresh} ${fresh}-${old}`,
        `silence ${old}-${voter} ${voter}-${old}`,
      ]),
    );
    expect(acts.slice(killed).filter((act) => !act.startsWith('slow'))).toEqual([
      ...[`kill ${voter}`, `power ${voter}`],
      ...[`silence ${fresh}-${voter} ${voter}-${fresh}`, 'release', `start ${voter}`],
      ...['hold', 'release'],
    ]);
    // When the voter starts, the two leaders still hear nothing of each other.
    expect(fake.acts.filter((act) => act === 'release')).toHaveLength(3);
    expect(fake.cut).toEqual([]);
    for (const node of [fresh, voter]) expect(fake.acts).toContain(`slow ${node} by 0`);
  });

  it('of five nodes all that it takes to elect lose their power', async () => {
    const { fake } = electing({ nodes: 5 });
    const struck = await strike(fake.stage(), 4000);
    expect(struck.state).toBe('installed');
    expect(fake.acts.filter((act) => act.startsWith('power'))).toHaveLength(2);
    expect(fake.cut).toEqual([]);
  });

  it('is not installed when bytes get through, or nothing was lost', async () => {
    const open = electing({ during: { end: 'closed', ms: 1 } });
    expect((await strike(open.fake.stage(), 4000)).state).toBe('indeterminate');
    const harmless = electing({ lostBytes: 0 });
    expect((await strike(harmless.fake.stage(), 4000)).state).toBe('indeterminate');
  });

  it('gives all links back when nobody is elected', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const fake = new FakeStage({
      during: SILENT,
      view: () => void vi.advanceTimersByTime(1000),
    });
    const struck = await strike(fake.stage(), 4000).finally(() => vi.useRealTimers());
    expect(struck).toMatchObject({ state: 'indeterminate' });
    expect(struck.text).toContain('nobody but');
    expect(fake.acts.filter((act) => /^(?:kill|power|start)/.test(act))).toEqual([]);
    expect(fake.cut).toEqual([]);
  });
});
