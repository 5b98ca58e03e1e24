/** The cluster under attack: `holdfast up` as a user starts it, its nodes known by their pids. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { UpProcess } from '../test/processes/up-process.ts';
import { nowMs } from './history.ts';
import type { ClusterDescription } from './workload/methods.ts';
import { NodeStub } from './workload/node-stub.ts';

const DESCRIBE_TIMEOUT_MS = 2000;
const STATUS_PACE_MS = 50;

/** Every node up, every shard led, all replicas level with what was committed. */
export interface WholeCluster {
  readonly pids: ReadonlyMap<number, number>;
  readonly leaders: ReadonlyMap<number, number>;
}

export class Cluster {
  readonly #up: UpProcess;
  readonly #stubs: readonly NodeStub[];

  private constructor(up: UpProcess) {
    this.#up = up;
    this.#stubs = up.servers.map((address, i) => new NodeStub(i + 1, address));
  }

  /** `folder` gets the cluster's data and what it says. */
  static async start(folder: string, nodes: number): Promise<Cluster> {
    const data = join(folder, 'data');
    return new Cluster(await UpProcess.start({ data, nodes, logFile: join(folder, 'up.log') }));
  }

  get addresses(): readonly string[] {
    return this.#up.servers;
  }

  get ended(): boolean {
    return this.#up.ended;
  }

  /** Undefined: it did not become whole in time, or `wanted` turned false. */
  async whole(timeoutMs: number, wanted: () => boolean): Promise<WholeCluster | undefined> {
    const giveUpAtMs = nowMs() + timeoutMs;
    let floor: ReadonlyMap<number, number> | undefined;
    while (nowMs() < giveUpAtMs && wanted() && !this.ended) {
      const views = await this.#describe();
      if (agree(views)) {
        floor ??= commitIndexes(views[0]!);
        if (levelWith(views[0]!, floor)) return summary(views);
      }
      await delay(STATUS_PACE_MS);
    }
    return undefined;
  }

  /** SIGTERM, as an operator would; resolves when `up` and with it every node is gone. */
  async stop(): Promise<void> {
    for (const stub of this.#stubs) stub.close();
    await this.#up.stop();
  }

  /** As each node sees it; a node that does not answer has no view. */
  async #describe(): Promise<readonly (ClusterDescription | undefined)[]> {
    const answers = await Promise.all(
      this.#stubs.map((stub) => stub.call('Admin.DescribeCluster', {}, DESCRIBE_TIMEOUT_MS)),
    );
    return answers.map((answer) => (answer.outcome === 'ok' ? answer.value : undefined));
  }
}

type View = ClusterDescription | undefined;

export function agree(views: readonly View[]): views is readonly ClusterDescription[] {
  const first = views[0];
  if (first === undefined || first.shards.length === 0) return false;
  return views.every(
    (view) =>
      view !== undefined &&
      view.nodes.length === views.length &&
      view.nodes.every(({ up, pid }) => up && pid > 0) &&
      view.shards.length === first.shards.length &&
      view.shards.every(({ leader }, i) => leader > 0 && leader === first.shards[i]?.leader),
  );
}

function commitIndexes({ shards }: ClusterDescription): ReadonlyMap<number, number> {
  return new Map(shards.map((shard) => [shard.id, shard.commit_index]));
}

function levelWith({ shards }: ClusterDescription, floor: ReadonlyMap<number, number>): boolean {
  return shards.every(({ id, replicas }) =>
    replicas.every((replica) => replica.match_index >= (floor.get(id) ?? 0)),
  );
}

/** A node's pid is what that node says itself. */
function summary(views: readonly ClusterDescription[]): WholeCluster {
  const ownPid = (view: ClusterDescription) => view.nodes.find(({ id }) => id === view.node)?.pid;
  return {
    pids: new Map(views.map((view) => [view.node, ownPid(view) ?? 0])),
    leaders: new Map(views[0]!.shards.map(({ id, leader }) => [id, leader])),
  };
}
