/** Looks at a cluster past every proxy: what each node says, and when all is well again. */
import { setTimeout as delay } from 'node:timers/promises';
import { nowMs } from '../history.ts';
import { NodeStub } from '../workload/node-stub.ts';
import {
  agree,
  commitIndexes,
  type Leaders,
  levelWith,
  newestLeaders,
  type View,
} from './views.ts';

const DESCRIBE_TIMEOUT_MS = 2000;
const PACE_MS = 50;

export class Watch {
  readonly #stubs: readonly NodeStub[];

  constructor(nodes: readonly { readonly node: number; readonly grpc: string }[]) {
    this.#stubs = nodes.map(({ node, grpc }) => new NodeStub(node, grpc));
  }

  async view(node: number): Promise<View> {
    const stub = this.#stubs.find((one) => one.node === node);
    const answer = await stub?.call('Admin.DescribeCluster', {}, DESCRIBE_TIMEOUT_MS);
    return answer?.outcome === 'ok' ? answer.value : undefined;
  }

  views(): Promise<View[]> {
    return Promise.all(this.#stubs.map(({ node }) => this.view(node)));
  }

  /** Every node up, every shard led, all replicas level with what was committed at the call. */
  async whole(timeoutMs: number, wanted: () => boolean): Promise<Leaders | undefined> {
    const giveUpAtMs = nowMs() + timeoutMs;
    let floor: ReadonlyMap<number, number> | undefined;
    while (nowMs() < giveUpAtMs && wanted()) {
      const views = await this.views();
      if (agree(views)) {
        floor ??= commitIndexes(views[0]!);
        if (levelWith(views[0]!, floor)) return newestLeaders(views);
      }
      await delay(PACE_MS);
    }
    return undefined;
  }

  close(): void {
    for (const stub of this.#stubs) stub.close();
  }
}
