import type { Toxiproxy } from 'toxiproxy-node-client';
import { describe, expect, it } from 'vitest';
import { type Link, Proxies } from '../../../chaos/cluster/proxies.ts';

/** What the server of toxiproxy would do, as text. */
function fakeServer() {
  const toxics = new Map<string, string>();
  const disabled = new Set<string>();
  const api = {
    createProxy: async ({ name, listen, upstream }: Record<string, string>) => ({
      ...{ name, listen, upstream },
      addToxic: async (toxic: { name: string; type: string; stream: string }) => {
        const key = `${name} ${toxic.name}`;
        if (toxics.has(key)) throw new Error(`${key} exists`);
        toxics.set(key, `${name} ${toxic.stream} ${toxic.type}`);
        return { remove: async () => void toxics.delete(key) };
      },
      update: async ({ enabled }: { enabled: boolean }) => {
        if (enabled) disabled.delete(name!);
        else disabled.add(name!);
      },
    }),
    reset: async () => {
      toxics.clear();
      disabled.clear();
    },
  };
  return { api: api as unknown as Toxiproxy, toxics, disabled };
}

const LINKS: readonly Link[] = [
  { from: 0, to: 1 },
  { from: 1, to: 2 },
  { from: 2, to: 1 },
];

async function created() {
  const server = fakeServer();
  const places = LINKS.map((link) => ({ ...link, listen: 'a:1', upstream: 'b:2' }));
  const proxies = await Proxies.create(server.api, places);
  return { ...server, proxies, on: () => [...server.toxics.values()].sort() };
}

describe('proxies', () => {
  it('silence: what one sends on its connections, and answers on those of the other', async () => {
    const { proxies, on } = await created();
    const release = await proxies.silence([{ from: 1, to: 2 }]);
    expect(on()).toEqual(['1-2 upstream timeout', '2-1 downstream timeout']);
    await release();
    expect(on()).toEqual([]);
  });

  it('clients dial and are never dialled', async () => {
    const { proxies, on } = await created();
    await proxies.silence([{ from: 0, to: 1 }]);
    await proxies.silence([{ from: 1, to: 0 }]);
    expect(on()).toEqual(['0-1 downstream timeout', '0-1 upstream timeout']);
  });

  it('a release takes back its own faults alone', async () => {
    const { proxies, on } = await created();
    const slow = { type: 'latency', attributes: { latency: 1 } } as const;
    const first = await proxies.silence([{ from: 1, to: 2 }]);
    await proxies.afflict([{ from: 1, to: 2 }], slow);
    await proxies.silence([{ from: 1, to: 2 }]);
    await first();
    const slowed = ['1-2 downstream latency', '1-2 upstream latency'];
    expect(on()).toEqual([...slowed, '1-2 upstream timeout', '2-1 downstream timeout']);
    await proxies.heal();
    expect(on()).toEqual([]);
  });

  it('a link that two faults refuse opens after the second', async () => {
    const { proxies, disabled } = await created();
    const first = await proxies.refuse([{ from: 1, to: 2 }]);
    const second = await proxies.refuse([{ from: 1, to: 2 }]);
    await first();
    expect([...disabled]).toEqual(['1-2']);
    await second();
    expect([...disabled]).toEqual([]);
  });

  it('a link that nobody dials has nothing to ask', async () => {
    const { proxies } = await created();
    expect(await proxies.probe({ from: 1, to: 0 }, 10)).toBeUndefined();
  });
});
