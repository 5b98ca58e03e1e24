import type { Command } from 'commander';
import type { ClusterDescription } from '../client/index.ts';
import {
  addClientOptions,
  type ClientOptions,
  print,
  printJson,
  printTable,
  withClient,
} from './client-options.ts';
import { clusterCommand } from './index.ts';

export function registerClusterStatus(program: Command): void {
  const status = clusterCommand(program).command('status');
  addClientOptions(status.description('nodes, shards, leaders, how far each replica is')).action(
    showStatus,
  );
}

async function showStatus(options: ClientOptions): Promise<void> {
  await withClient(options, async ({ admin }) => {
    const cluster = await admin.describeCluster();
    if (options.json === true) printJson(statusJson(cluster));
    else printStatus(cluster);
  });
}

/** Scripts outside rely on this shape. */
export function statusJson({ clusterId, nodes, shards }: ClusterDescription) {
  return {
    cluster_id: clusterId,
    nodes: nodes.map(({ id, address, pid, up }) => ({ id, address, pid, up })),
    shards: shards.map((shard) => ({
      id: shard.id,
      leader: shard.leader,
      term: shard.term,
      commit_index: shard.commitIndex,
      applied_index: shard.appliedIndex,
      replicas: shard.replicas.map(({ node, matchIndex, role }) => ({
        node,
        match_index: matchIndex,
        role,
      })),
    })),
  };
}

function printStatus({ clusterId, nodes, shards }: ClusterDescription): void {
  void print(`cluster ${clusterId}\n\n`);
  const nodeRows = nodes.map(({ id, address, pid, up }) => [id, address, pid, up ? 'up' : 'DOWN']);
  printTable(['NODE', 'ADDRESS', 'PID', 'STATE'], nodeRows);
  void print('\n');
  const shardRows = shards.map((shard) => [
    shard.id === 0 ? '0 (meta)' : shard.id,
    shard.leader === 0 ? 'NONE' : `node ${shard.leader}`,
    shard.term,
    shard.commitIndex,
    shard.appliedIndex,
    shard.replicas.map((one) => `${one.node}:${one.matchIndex}`).join(' '),
  ]);
  printTable(['SHARD', 'LEADER', 'TERM', 'COMMIT', 'APPLIED', 'REPLICAS (node:match)'], shardRows);
}
