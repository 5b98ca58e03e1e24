/** The proxies of a cluster of our own: where each process reaches each other one. */
import type { Keeper } from './keeper.ts';
import type { Place } from './local-cluster.ts';
import { CLIENTS, type Link, Proxies, type ProxyPlace } from './proxies.ts';
import { startToxiproxy } from './toxiproxy.ts';

const PROXY_PORTS_AT = 200;
const API_PORT_AT = 299;

export interface Links {
  readonly proxies: Proxies;
  clientAddress(node: number): string;
  peerAddress(from: number, to: number): string;
  stop(): void;
}

export interface LinksPlan {
  readonly base: number;
  readonly places: readonly Place[];
  readonly keeper: Keeper;
  readonly log: string;
}

/** Of ten from each node, so nodes are below ten. */
function portOffset({ from, to }: Link): number {
  return PROXY_PORTS_AT + 10 * from + to;
}

function allLinks(nodes: readonly number[]): Link[] {
  return [CLIENTS, ...nodes].flatMap((from) =>
    nodes.filter((to) => to !== from).map((to) => ({ from, to })),
  );
}

/** Above the base port of a cluster of so many nodes. */
export function proxyPortOffsets(nodes: number): number[] {
  const all = Array.from({ length: nodes }, (_, at) => at + 1);
  return [API_PORT_AT, ...allLinks(all).map(portOffset)];
}

export async function startLinks(binary: string, plan: LinksPlan): Promise<Links> {
  const { base, places, keeper, log } = plan;
  const server = await startToxiproxy(binary, { port: base + API_PORT_AT, log, keeper });
  const listen = (link: Link) => `127.0.0.1:${base + portOffset(link)}`;
  const links = allLinks(places.map(({ node }) => node)).map((link): ProxyPlace => {
    const { grpc, peer } = places.find(({ node }) => node === link.to)!;
    return { ...link, listen: listen(link), upstream: link.from === CLIENTS ? grpc : peer };
  });
  return {
    proxies: await Proxies.create(server.api, links),
    clientAddress: (node) => listen({ from: CLIENTS, to: node }),
    peerAddress: (from, to) => listen({ from, to }),
    stop: () => server.stop(),
  };
}
