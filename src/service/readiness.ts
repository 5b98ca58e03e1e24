/**
 * Whether clients may be sent to this node: its replica of the metadata has once caught up with the
 * shard's leader since the node started, joined, or was given another replica. Before, it knows no
 * topics, or those of long ago. Calls do not depend on it (they ask for themselves): it is what the
 * health service says.
 */
import { META_SHARD } from '../cluster/birth-placement.ts';
import type { ShardHost } from '../shards/api.ts';
import { type Calls, OWN_CALL } from './call.ts';
import type { Deadlines } from './deadlines.ts';
import type { TopicDirectory } from './topic-directory.ts';

export interface ReadinessParts {
  readonly host: Pick<ShardHost, 'onApplied' | 'onLeadership'>;
  readonly topics: Pick<TopicDirectory, 'catchUp' | 'appliedIndex'>;
  readonly calls: Calls;
  readonly deadlines: Deadlines;
  readonly config: { readonly defaultCallTimeoutMs: number; readonly busyRetryAfterMs: number };
}

export class Readiness {
  readonly #parts: ReadinessParts;
  readonly #onChange: (isReady: boolean) => void;
  readonly #unsubscribe: readonly (() => void)[];
  /** The metadata was applied this far, and current, at some moment; undefined = never. */
  #provenIndex: number | undefined;
  #closed = false;

  constructor(parts: ReadinessParts, onChange: (isReady: boolean) => void) {
    this.#parts = parts;
    this.#onChange = onChange;
    const look = (shard: number) => {
      if (shard === META_SHARD) this.#look();
    };
    this.#unsubscribe = [parts.host.onApplied(look), parts.host.onLeadership(look)];
    this.#prove();
  }

  close(): void {
    this.#closed = true;
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  /** A replica that has applied less than the one before is a new one with everything to learn. */
  #look(): void {
    if (this.#provenIndex === undefined) return;
    if (this.#parts.topics.appliedIndex >= this.#provenIndex) return;
    this.#provenIndex = undefined;
    this.#onChange(false);
    this.#prove();
  }

  #prove(): void {
    const { calls, config, deadlines, topics } = this.#parts;
    const call = calls.open(config.defaultCallTimeoutMs, OWN_CALL, (error) => {
      if (this.#closed) return;
      if (error === undefined) {
        this.#provenIndex = topics.appliedIndex;
        this.#onChange(true);
        return;
      }
      const atMs = calls.clock.nowMs() + config.busyRetryAfterMs;
      deadlines.add(atMs, { expire: () => this.#prove() });
    });
    topics.catchUp(call, (error) => call.finish(error, undefined));
  }
}
