/**
 * What a supervised node and its supervisor say to each other. The channel is also the leash: when
 * it closes, whatever the reason, the node ends (so that a killed `up` leaves no process behind).
 */
import type { ShardId } from '../../raft/types.ts';
import type { RunningNode } from './running-node.ts';

export type ChildMessage =
  | { readonly type: 'serving'; readonly shards: number }
  /** The shards that this node leads and may answer for, after every change. */
  | { readonly type: 'leading'; readonly shards: readonly ShardId[] };

export type SupervisorMessage = { readonly type: 'stop' };

/** The child's end, as `process` offers it when it was started with a channel. */
export interface ChildEnd {
  send?: ((message: ChildMessage) => unknown) | undefined;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  on(event: 'disconnect', listener: () => void): unknown;
}

export function isStop(message: unknown): message is SupervisorMessage {
  return typeof message === 'object' && message !== null && 'type' in message
    ? message.type === 'stop'
    : false;
}

/** Tells the supervisor that the node serves, and from then on what it leads. */
export function reportTo(send: (message: ChildMessage) => void, host: RunningNode['host']): void {
  let scheduled = false;
  const report = () => {
    scheduled = false;
    send({ type: 'leading', shards: host.shards().filter((shard) => host.isReady(shard)) });
  };
  // At a start or an election many shards change in one turn of the event loop: one message.
  host.onLeadership(() => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(report);
  });
  send({ type: 'serving', shards: host.shards().length });
  report();
}
