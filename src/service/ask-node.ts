/** Asks another node about itself. One that does not answer in time is left out. */
import type { NodeId } from '../../raft/types.ts';
import type { PeerNetwork } from '../peers/api.ts';
import type { Call } from './call.ts';
import { decodeJson } from './internal-methods.ts';
import type { NodeMethod } from './methods.ts';

export function askNode<Answer>(
  peers: PeerNetwork,
  call: Call,
  node: NodeId,
  method: NodeMethod,
  waitMs: number,
): Promise<Answer | undefined> {
  const timeoutMs = Math.ceil(Math.min(waitMs, call.remainingMs));
  const request = { method: method.name, timeoutMs, lane: '', body: new Uint8Array(0) };
  return new Promise((resolve) => {
    const giveUp = setTimeout(() => resolve(undefined), timeoutMs);
    peers.call(node, request, (outcome) => {
      clearTimeout(giveUp);
      resolve(outcome.status === 'ok' ? decodeJson<Answer>(outcome.body) : undefined);
    });
  });
}
