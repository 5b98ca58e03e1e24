/** Calls that other nodes forward: the executors of our own clients' calls, never routed again. */
import type { IncomingCall } from '../peers/api.ts';
import type { Router } from '../router.ts';
import type { ShardHost } from '../shards/api.ts';
import { CallError, toCallError } from '../status.ts';
import { type Call, type Calls, type Done, forwardedCall } from './call.ts';
import { encodeError } from './error-codec.ts';
import { FailedLanes } from './lanes.ts';
import { decodeMethod, type NodeMethod, type ShardMethod, type Target } from './methods.ts';
import type { Spans } from './spans.ts';

export interface PeerServerParts {
  readonly host: ShardHost;
  readonly router: Router;
  readonly calls: Calls;
  readonly shardMethods: readonly ShardMethod[];
  readonly nodeMethods: readonly NodeMethod[];
  readonly maxFailedLanes: number;
  readonly onBug: (error: CallError) => void;
  readonly spans: Spans | undefined;
}

export class PeerServer {
  readonly #parts: PeerServerParts;
  readonly #shardMethods: ReadonlyMap<string, ShardMethod>;
  readonly #nodeMethods: ReadonlyMap<string, NodeMethod>;
  readonly #shards: ReadonlySet<number>;
  readonly #lanes: FailedLanes;

  constructor(parts: PeerServerParts) {
    this.#parts = parts;
    this.#shardMethods = new Map(parts.shardMethods.map((method) => [method.name, method]));
    this.#nodeMethods = new Map(parts.nodeMethods.map((method) => [method.name, method]));
    this.#shards = new Set(parts.host.shards());
    this.#lanes = new FailedLanes(parts.maxFailedLanes);
  }

  onPeerCall(incoming: IncomingCall): void {
    const { lane, method, principal = '', timeoutMs, traceparent = '' } = incoming.request;
    const origin = forwardedCall(lane, principal);
    const decoded = decodeMethod(method);
    const { spans } = this.#parts;
    const span = traceparent === '' ? undefined : spans?.begin(decoded.name, traceparent);
    const call = this.#parts.calls.open(timeoutMs, origin, (error, answer) => {
      span?.end(error?.reason);
      if (error === undefined) incoming.answer({ status: 'ok', body: answer! });
      else this.#refuse(incoming, error);
    });
    call.span = span;
    try {
      this.#dispatch(call, incoming, decoded);
    } catch (error) {
      call.finish(toCallError(error), undefined);
    }
    if (!call.finished) incoming.onCancel(() => call.cancel());
  }

  #refuse(incoming: IncomingCall, error: CallError): void {
    const { lane } = incoming.request;
    if (lane !== '') this.#lanes.add(incoming.from, lane);
    if (error.reason === 'INTERNAL') this.#parts.onBug(error);
    incoming.answer({ status: 'error', body: encodeError(error) });
  }

  #dispatch(
    call: Call,
    incoming: IncomingCall,
    { name, target }: ReturnType<typeof decodeMethod>,
  ): void {
    const { method: text, lane, body } = incoming.request;
    if (target === undefined) {
      const method = this.#nodeMethods.get(name);
      if (method === undefined) throw unknownMethod(name);
      method.perform(call, body, call.finish);
      return;
    }
    const method = this.#shardMethods.get(name);
    if (method === undefined || !this.#shards.has(target.shard)) throw unknownMethod(text);
    if (lane !== '' && this.#lanes.has(incoming.from, lane)) throw precedingFailed();
    this.#perform(call, method, target, body, call.finish);
  }

  #perform(call: Call, method: ShardMethod, target: Target, body: Uint8Array, done: Done): void {
    const perform = () => {
      try {
        method.perform(call, target, body, undefined, done);
      } catch (error) {
        done(toCallError(error), undefined);
      }
    };
    this.#parts.router.whenReady(call, target.shard, perform, done);
  }
}

export function precedingFailed(): CallError {
  return new CallError(
    'PRECEDING_FAILED',
    'an earlier request for this queue on the stream failed: send again, the first with `resume`',
  );
}

function unknownMethod(name: string): CallError {
  return new CallError('NOT_YET', `this node knows no ${name}: it runs another version`);
}
