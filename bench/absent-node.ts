/** Two ways for node 3 to miss what is written: it is stopped meanwhile, or does not exist yet. */
import { type ClusterDescription, connect } from '../src/client/index.ts';
import { GrowingCluster } from '../test/e2e/growing-cluster.ts';
import type { CleanUp } from '../test/processes/command.ts';
import { UpProcess } from '../test/processes/up-process.ts';

export const ABSENT_NODE = 3;

export interface AbsentNode {
  /** Of the nodes that are there all the time. */
  readonly servers: readonly string[];
  leave(): Promise<void>;
  /** Resolves when the node runs again, or for the first time. */
  comeBack(): Promise<void>;
}

/** Of three nodes the third is stopped by a signal. */
export async function pausedNode(
  data: string,
  settings: readonly string[],
  cleanUp: CleanUp,
): Promise<AbsentNode> {
  const up = await cleanUp.started(UpProcess.start({ data, settings }));
  const servers = up.servers.filter((_, at) => at + 1 !== ABSENT_NODE);
  let pid = 0;
  return {
    servers,
    async leave() {
      pid = await pidOf(servers);
      process.kill(pid, 'SIGSTOP');
      cleanUp.add(() => process.kill(pid, 'SIGCONT'));
    },
    comeBack() {
      process.kill(pid, 'SIGCONT');
      return Promise.resolve();
    },
  };
}

async function pidOf(servers: readonly string[]): Promise<number> {
  const client = connect({ servers });
  try {
    const { nodes } = await client.admin.describeCluster();
    return nodes.find(({ id }) => id === ABSENT_NODE)?.pid as number;
  } finally {
    await client.close();
  }
}

/** Two nodes get a third one, which is to hold a replica of every shard. */
export async function newNode(
  data: string,
  settings: readonly string[],
  cleanUp: CleanUp,
): Promise<AbsentNode> {
  const born = ABSENT_NODE - 1;
  const cluster = await cleanUp.started(GrowingCluster.start(data, born, ABSENT_NODE, settings));
  return {
    servers: cluster.servers.slice(0, born),
    async leave() {
      cluster.writeConfig(ABSENT_NODE);
      const config = ['--config', cluster.configFile(ABSENT_NODE)];
      await cluster.cli('cluster', 'add', '--no-wait', ...config);
    },
    comeBack: () => cluster.launch(ABSENT_NODE),
  };
}

/** Entries that the node lacks, over all shards; undefined while a shard has no leader. */
export function missing({ shards }: ClusterDescription): number | undefined {
  let entries = 0;
  for (const { leader, commitIndex, replicas } of shards) {
    if (leader === 0) return undefined;
    const replica = replicas.find((one) => one.node === ABSENT_NODE);
    entries += Math.max(0, commitIndex - (replica?.matchIndex ?? 0));
  }
  return entries;
}
