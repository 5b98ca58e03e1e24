/**
 * Keeps the processes of a local cluster alive: starts them, restarts what dies, says when the
 * whole cluster serves, stops all. Pure of processes and timers: both come in as ports.
 */
import type { NodeId, ShardId } from '../../raft/types.ts';
import { Failure } from '../failure.ts';
import type { ChildMessage } from './control-channel.ts';

export interface ChildEvents {
  onMessage(message: ChildMessage): void;
  /** Once, when the process is gone. `reason` is its last words or how it ended. */
  onExit(reason: string, byItself: boolean): void;
}

export interface ChildProcessHandle {
  readonly pid: number;
  askToStop(): void;
  kill(): void;
}

export interface SupervisorPorts {
  launch(node: NodeId, events: ChildEvents): ChildProcessHandle;
  nowMs(): number;
  /** Returns the canceller. */
  after(delayMs: number, run: () => void): () => void;
  onEvent(event: SupervisorEvent): void;
}

export type SupervisorEvent =
  | { readonly type: 'ready' }
  | { readonly type: 'died'; readonly node: NodeId; readonly reason: string; delayMs: number }
  | { readonly type: 'restarted'; readonly node: NodeId; readonly pid: number }
  /** A node cannot start at all: something is wrong that another try does not change. */
  | { readonly type: 'failed'; readonly node: NodeId; readonly reason: string };

export const RESTART = Object.freeze({
  firstDelayMs: 100,
  delayMsMax: 5000,
  /** Whoever lives this long starts again with the first delay. */
  youngMs: 10_000,
});
/** How long a node may take to hand in its work before it is killed. */
export const DRAIN_TIMEOUT_MS = 12_000;

interface Ward {
  readonly node: NodeId;
  child: ChildProcessHandle | undefined;
  startedAtMs: number;
  delayMs: number;
  /** Served at least once since the supervisor began. */
  everServed: boolean;
  serving: boolean;
  leading: readonly ShardId[];
  cancelRestart: (() => void) | undefined;
}

export class Supervisor {
  readonly #ports: SupervisorPorts;
  readonly #wards: Map<NodeId, Ward>;
  #shardCount: number | undefined;
  #ready = false;
  #stopped: (() => void) | undefined;

  constructor(nodes: readonly NodeId[], ports: SupervisorPorts) {
    this.#ports = ports;
    this.#wards = new Map(nodes.map((node) => [node, newWard(node)]));
  }

  start(): void {
    for (const ward of this.#wards.values()) this.#launch(ward);
  }

  pidOf(node: NodeId): number | undefined {
    return this.#wards.get(node)?.child?.pid;
  }

  /** Asks all to stop; resolves when no process is left. Kills those that do not in time. */
  stop(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#ports.after(DRAIN_TIMEOUT_MS, () => {
        this.kill();
      });
      this.#stopped = () => {
        cancel();
        resolve();
      };
      for (const ward of this.#wards.values()) {
        ward.cancelRestart?.();
        ward.child?.askToStop();
      }
      this.#maybeStopped();
    });
  }

  kill(): void {
    for (const ward of this.#wards.values()) ward.child?.kill();
  }

  #launch(ward: Ward): void {
    ward.startedAtMs = this.#ports.nowMs();
    ward.cancelRestart = undefined;
    ward.child = this.#ports.launch(ward.node, {
      onMessage: (message) => {
        this.#heard(ward, message);
      },
      onExit: (reason, byItself) => {
        this.#died(ward, reason, byItself);
      },
    });
  }

  #heard(ward: Ward, message: ChildMessage): void {
    if (message.type === 'serving') {
      ward.serving = true;
      ward.everServed = true;
      this.#shardCount = message.shards;
    } else {
      ward.leading = message.shards;
    }
    this.#maybeReady();
  }

  #maybeReady(): void {
    const wards = [...this.#wards.values()];
    if (this.#ready || this.#stopped !== undefined) return;
    if (!wards.every(({ serving }) => serving)) return;
    const led = new Set(wards.flatMap(({ leading }) => leading));
    if (led.size !== this.#shardCount) return;
    this.#ready = true;
    this.#ports.onEvent({ type: 'ready' });
  }

  #died(ward: Ward, reason: string, byItself: boolean): void {
    const { node } = ward;
    ward.child = undefined;
    ward.serving = false;
    ward.leading = [];
    if (this.#stopped !== undefined) {
      this.#maybeStopped();
      return;
    }
    if (byItself && !ward.everServed) {
      this.#ports.onEvent({ type: 'failed', node, reason });
      return;
    }
    const delayMs = this.#nextDelayMs(ward, byItself);
    this.#ports.onEvent({ type: 'died', node, reason, delayMs });
    ward.cancelRestart = this.#ports.after(delayMs, () => {
      this.#launch(ward);
      this.#ports.onEvent({ type: 'restarted', node, pid: ward.child?.pid ?? 0 });
    });
  }

  /** Backing off is for a node that ends by itself again and again; a kill is not its fault. */
  #nextDelayMs(ward: Ward, byItself: boolean): number {
    const young = byItself && this.#ports.nowMs() - ward.startedAtMs < RESTART.youngMs;
    ward.delayMs = young ? Math.min(ward.delayMs, RESTART.delayMsMax) : RESTART.firstDelayMs;
    const delayMs = ward.delayMs;
    ward.delayMs = Math.min(2 * delayMs, RESTART.delayMsMax);
    return delayMs;
  }

  #maybeStopped(): void {
    const alive = [...this.#wards.values()].some(({ child }) => child !== undefined);
    if (!alive) this.#stopped?.();
  }
}

function newWard(node: NodeId): Ward {
  return {
    node,
    child: undefined,
    startedAtMs: 0,
    delayMs: RESTART.firstDelayMs,
    everServed: false,
    serving: false,
    leading: [],
    cancelRestart: undefined,
  };
}

/** For a caller that waits: the failure that a `failed` event stands for. */
export function startFailure(node: NodeId, reason: string): Failure {
  return new Failure(`node ${node} cannot start: ${reason}`);
}
