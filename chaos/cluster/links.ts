/** The proxies of a cluster: where each process, and each client, reaches each other one. */
import type { Keeper } from './keeper.ts';
import { CLIENTS, type Link, Proxies, type ProxyPlace } from './proxies.ts';
import { startToxiproxy } from './toxiproxy.ts';

const PROXY_PORTS_AT = 300;
const API_PORT_AT = 399;

export interface Links {
  readonly proxies: Proxies;
  clientAddress(node: number): string;
  peerAddress(from: number, to: number): string;
  stop(): void;
}

export interface LinksPlan {
  readonly base: number;
  readonly keeper: Keeper;
  readonly log: string;
  /** Each with the address that it leads to. */
  readonly links: readonly (readonly [Link, string])[];
}

/** Of ten from each node; only from clients there may be more. */
function portOffset({ from, to }: Link): number {
  return PROXY_PORTS_AT + 10 * from + to;
}

export function clientLinks(nodes: readonly number[]): Link[] {
  return nodes.map((to) => ({ from: CLIENTS, to }));
}

/** Every directed pair of peers, and clients. */
export function allLinks(nodes: readonly number[]): Link[] {
  const pairs = nodes.flatMap((from) =>
    nodes.filter((to) => to !== from).map((to) => ({ from, to })),
  );
  return [...clientLinks(nodes), ...pairs];
}

/** Above the base port. */
export function proxyPorts(links: readonly Link[]): number[] {
  return [API_PORT_AT, ...links.map(portOffset)];
}

export async function startLinks(binary: string, plan: LinksPlan): Promise<Links> {
  const { base, keeper, log } = plan;
  const server = await startToxiproxy(binary, { port: base + API_PORT_AT, log, keeper });
  const listen = (link: Link) => `127.0.0.1:${base + portOffset(link)}`;
  const places = plan.links.map(([link, upstream]): ProxyPlace => {
    return { ...link, listen: listen(link), upstream };
  });
  return {
    proxies: await Proxies.create(server.api, places),
    clientAddress: (node) => listen({ from: CLIENTS, to: node }),
    peerAddress: (from, to) => listen({ from, to }),
    stop: () => server.stop(),
  };
}
