/** What this node holds for its callers, bounds beside their use, links to other nodes. */
import { REFUSAL_REASONS } from '../peers/handshake.ts';
import type { Figures } from './figures.ts';
import type { Reading, Sample } from './readings.ts';

const SERVICE: readonly Reading[] = [
  {
    name: 'holdfast_serving',
    help: '1: the health service says SERVING',
    type: 'gauge',
    read: ({ service }) => Number(service.isServing),
  },
  {
    name: 'holdfast_calls_in_flight',
    help: 'Calls and stream requests without an answer yet',
    type: 'gauge',
    read: ({ service }) => service.calls,
  },
  {
    name: 'holdfast_bound_used',
    help: 'What is held against a bound now',
    type: 'gauge',
    labels: ['bound'],
    read: ({ bounds }) => bounds.map(({ name, used }) => [used, { bound: name }]),
  },
  {
    name: 'holdfast_bound_limit',
    help: 'The bound: over it callers get RESOURCE_EXHAUSTED',
    type: 'gauge',
    labels: ['bound'],
    read: ({ bounds }) => bounds.map(({ name, limit }) => [limit, { bound: name }]),
  },
];

type PeerFigures = Figures['peers']['peers'][number];

function perPeer(
  name: string,
  help: string,
  type: Reading['type'],
  value: (peer: PeerFigures) => number,
): Reading {
  const read = ({ peers }: Figures): readonly Sample[] =>
    peers.peers.map((peer) => [value(peer), { node: peer.node }]);
  return { name: `holdfast_peer_${name}`, help, type, labels: ['node'], read };
}

const PEERS: readonly Reading[] = [
  perPeer('up', '1: connected, and giving signs of life', 'gauge', ({ up }) => Number(up)),
  perPeer('dials_total', 'Connections dialled', 'counter', ({ dials }) => dials),
  perPeer('dropped_messages_total', 'Messages with no room or no way', 'counter', (peer) => {
    return peer.droppedMessages;
  }),
  perPeer('outgoing_calls', 'Calls forwarded there without an answer', 'gauge', (peer) => {
    return peer.outgoingCalls;
  }),
  perPeer('incoming_calls', 'Calls forwarded from there, not answered', 'gauge', (peer) => {
    return peer.incomingCalls;
  }),
  {
    name: 'holdfast_peer_queued_bytes',
    help: 'Waiting to be sent there, by connection',
    type: 'gauge',
    labels: ['node', 'connection'],
    read: ({ peers }) =>
      peers.peers.flatMap(({ node, queuedBulkBytes, queuedControlBytes }): Sample[] => [
        [queuedBulkBytes, { node, connection: 'bulk' }],
        [queuedControlBytes, { node, connection: 'control' }],
      ]),
  },
  {
    name: 'holdfast_peer_refusals_total',
    help: 'Handshakes refused, by either side',
    type: 'counter',
    labels: ['reason'],
    read: ({ peers }) =>
      REFUSAL_REASONS.map((reason): Sample => [peers.refusals[reason] ?? 0, { reason }]),
  },
];

export const SERVICE_READINGS: readonly Reading[] = [...SERVICE, ...PEERS];
