/**
 * One proxy for every directed pair of peers and one per node for clients. A node dials its peers
 * and speaks only on the connections that it dialled; what goes back on them belongs to the same
 * conversation. So silence from i to j is two things: what i sends on its own connections, and what
 * it answers on those of j.
 */
import type { Proxy as TcpProxy, Toxic, Toxiproxy } from 'toxiproxy-node-client';
import { type Probe, probe } from './probe.ts';

/** Stands for all clients in a link. */
export const CLIENTS = 0;

export interface Link {
  readonly from: number;
  readonly to: number;
}

/** Takes back what it came with, and nothing else. */
export type Release = () => Promise<void>;

/** A kind of toxiproxy, with its attributes. */
export interface Affliction {
  readonly type: 'latency' | 'bandwidth' | 'slicer' | 'timeout' | 'reset_peer';
  readonly attributes: Readonly<Record<string, number>>;
}

const BLACKHOLE: Affliction = { type: 'timeout', attributes: { timeout: 0 } };

export type ProxyPlace = Link & { readonly listen: string; readonly upstream: string };

type Stream = 'upstream' | 'downstream';

export class Proxies {
  readonly #api: Toxiproxy;
  readonly #proxies: ReadonlyMap<string, TcpProxy>;
  /** How many faults refuse connections of a link at the moment. */
  readonly #refused = new Map<string, number>();
  #count = 0;

  private constructor(api: Toxiproxy, proxies: ReadonlyMap<string, TcpProxy>) {
    this.#api = api;
    this.#proxies = proxies;
  }

  static async create(api: Toxiproxy, places: readonly ProxyPlace[]): Promise<Proxies> {
    const proxies = new Map<string, TcpProxy>();
    for (const { listen, upstream, ...link } of places) {
      const name = nameOf(link);
      proxies.set(name, await api.createProxy({ name, listen, upstream, enabled: true }));
    }
    return new Proxies(api, proxies);
  }

  /** Bytes stay on their way for ever, in the direction of each link; nobody is told. */
  silence(links: readonly Link[]): Promise<Release> {
    const forth = this.#known(links).map((proxy) => ({ proxy, stream: 'upstream' as const }));
    const back = links.map(({ from, to }) => ({ from: to, to: from }));
    const answers = this.#known(back).map((proxy) => ({ proxy, stream: 'downstream' as const }));
    return this.#poison([...forth, ...answers], BLACKHOLE);
  }

  /** Both ways of what is dialled along each link. */
  afflict(links: readonly Link[], affliction: Affliction): Promise<Release> {
    const streams = ['upstream', 'downstream'] as const;
    const targets = this.#known(links).flatMap((proxy) => {
      return streams.map((stream) => ({ proxy, stream }));
    });
    return this.#poison(targets, affliction);
  }

  /** Open connections end and new ones are refused. */
  async refuse(links: readonly Link[]): Promise<Release> {
    const proxies = this.#known(links);
    await Promise.all(proxies.map((proxy) => this.#countRefusals(proxy, 1)));
    return async () => {
      await Promise.all(proxies.map((proxy) => this.#countRefusals(proxy, -1)));
    };
  }

  /** Undefined for a link that nobody dials. */
  async probe({ from, to }: Link, timeoutMs: number): Promise<Probe | undefined> {
    const proxy = this.#proxies.get(nameOf({ from, to }));
    return proxy === undefined ? undefined : await probe(proxy.listen, timeoutMs);
  }

  /** All links as if nothing had ever been. */
  async heal(): Promise<void> {
    this.#refused.clear();
    await this.#api.reset();
  }

  #known(links: readonly Link[]): TcpProxy[] {
    return links.flatMap((link) => this.#proxies.get(nameOf(link)) ?? []);
  }

  async #poison(
    targets: readonly { readonly proxy: TcpProxy; readonly stream: Stream }[],
    { type, attributes }: Affliction,
  ): Promise<Release> {
    const toxics: Toxic<unknown>[] = await Promise.all(
      targets.map(({ proxy, stream }) => {
        const name = `${type}-${this.#count++}`;
        return proxy.addToxic<unknown>({ name, type, stream, toxicity: 1, attributes });
      }),
    );
    return async () => {
      await Promise.all(toxics.map((toxic) => toxic.remove()));
    };
  }

  async #countRefusals(proxy: TcpProxy, more: 1 | -1): Promise<void> {
    const count = (this.#refused.get(proxy.name) ?? 0) + more;
    this.#refused.set(proxy.name, count);
    const { listen, upstream } = proxy;
    await proxy.update({ enabled: count <= 0, listen, upstream });
  }
}

function nameOf({ from, to }: Link): string {
  return `${from}-${to}`;
}
