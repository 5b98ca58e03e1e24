/** Which links a fault of the network is about; pure shapes, proved by tests. */
import { CLIENTS, type Link } from '../cluster/proxies.ts';

/** From everybody of one group to everybody of the other. */
export function linksBetween(from: readonly number[], to: readonly number[]): Link[] {
  return from.flatMap((one) =>
    to.filter((other) => other !== one).map((other) => ({ from: one, to: other })),
  );
}

/** Both directions. */
export function linksAcross(one: readonly number[], other: readonly number[]): Link[] {
  return [...linksBetween(one, other), ...linksBetween(other, one)];
}

export function peerLinks(nodes: readonly number[]): Link[] {
  return linksBetween(nodes, nodes);
}

/** With all its peers, and with clients. */
export function linksOf(node: number, nodes: readonly number[]): Link[] {
  return [...linksAcross([node], without(nodes, [node])), { from: CLIENTS, to: node }];
}

export function without(nodes: readonly number[], others: readonly number[]): number[] {
  return nodes.filter((node) => !others.includes(node));
}

/** The largest part that is no majority, and the rest; in the order given. */
export function minorityFirst(order: readonly number[]): [number[], number[]] {
  const size = Math.floor((order.length - 1) / 2);
  return [order.slice(0, size), order.slice(size)];
}

/** Two halves that see each other only through the last one, which sees everybody. */
export function bridgeCuts(order: readonly number[]): Link[] {
  const half = (order.length - 1) / 2;
  return linksAcross(order.slice(0, half), order.slice(half, -1));
}

/** Everybody sees a majority, and no two the same: of five, only one's neighbours in the ring. */
export function ringCuts(order: readonly number[]): Link[] {
  const reach = Math.floor(order.length / 4);
  return order.flatMap((from, at) =>
    order.flatMap((to, other) => {
      const steps = Math.abs(at - other);
      const distance = Math.min(steps, order.length - steps);
      return distance > reach ? [{ from, to }] : [];
    }),
  );
}
