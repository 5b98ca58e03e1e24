/** What a fault may do to a cluster, and what can be seen of it from outside. */
import type { Need } from '../nemesis/nemesis.ts';
import type { NodeDisk } from '../shim/node-disk.ts';
import type { NodeProcess } from './node-process.ts';
import type { Proxies } from './proxies.ts';
import type { Leaders, View } from './views.ts';

export interface AttackedCluster {
  readonly nodes: readonly number[];
  /** Where clients reach each node, in the order of `nodes`. */
  readonly addresses: readonly string[];
  /** Why a fault with this need cannot be; undefined = it can. */
  lacks(need: Need): string | undefined;
  /** Throws where the processes are not ours. */
  process(node: number): NodeProcess;
  /** Throws where there is no shim. */
  disk(node: number): NodeDisk;
  /** Throws where there are none. */
  proxies(): Proxies;
  /** `holdfast cluster WORDS...`, as an operator, through any node but `past`. */
  command(words: readonly string[], past: number): Promise<void>;
  /** Asked past every proxy. */
  view(node: number): Promise<View>;
  /** Every node up, every shard led, all replicas level with what was committed at the call. */
  whole(timeoutMs: number, wanted: () => boolean): Promise<Leaders | undefined>;
  /** Nothing is left of any fault: links and disks healed, processes continued and started. */
  heal(): Promise<void>;
  stop(): Promise<void>;
}
