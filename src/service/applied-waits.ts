/** Calls that wait until this node's own replica of the metadata shard shows something. */
import type { ShardHost } from '../shards/api.ts';
import { CallError } from '../status.ts';
import { stopping } from './admission.ts';
import type { Call } from './call.ts';

const META_SHARD = 0;

/** `appliedIndex`: through which index this node has applied the metadata shard. */
type Condition = (appliedIndex: number) => boolean;

interface Wait {
  readonly call: Call;
  readonly until: Condition;
  readonly then: (refused: CallError | undefined) => void;
}

export class AppliedWaits {
  readonly #host: ShardHost;
  readonly #maxWaits: number;
  readonly #waits = new Set<Wait>();
  readonly #unsubscribe: () => void;
  #isRetired = false;

  constructor(host: ShardHost, maxWaits: number) {
    this.#host = host;
    this.#maxWaits = maxWaits;
    this.#unsubscribe = host.onApplied((shard) => {
      if (shard === META_SHARD && this.#waits.size > 0) this.#wake();
    });
  }

  get size(): number {
    return this.#waits.size;
  }

  close(): void {
    this.#unsubscribe();
    this.#waits.clear();
  }

  /** This node is no member any more: nobody brings it metadata. */
  retire(): void {
    this.#isRetired = true;
    for (const wait of [...this.#waits]) this.#end(wait, stopping());
  }

  /** The call's `abort` is taken while it waits. */
  wait(call: Call, until: Condition, then: (refused: CallError | undefined) => void): void {
    if (until(this.appliedIndex)) {
      then(undefined);
      return;
    }
    if (this.#isRetired) {
      then(stopping());
      return;
    }
    if (this.#waits.size >= this.#maxWaits) {
      then(new CallError('NODE_BUSY', 'too many calls wait on this node: try again later'));
      return;
    }
    const wait: Wait = { call, until, then };
    this.#waits.add(wait);
    call.waitingFor = 'the metadata of this node to catch up';
    call.abort = () => this.#waits.delete(wait);
  }

  /** Of this node's present replica; falls when another one takes its place. */
  get appliedIndex(): number {
    const status = this.#host.status().find((shard) => shard.shard === META_SHARD);
    return status?.appliedIndex ?? 0;
  }

  #wake(): void {
    const { appliedIndex } = this;
    for (const wait of [...this.#waits]) {
      if (wait.until(appliedIndex)) this.#end(wait, undefined);
    }
  }

  #end(wait: Wait, refused: CallError | undefined): void {
    this.#waits.delete(wait);
    if (wait.call.finished) return;
    wait.call.abort = undefined;
    wait.then(refused);
  }
}
