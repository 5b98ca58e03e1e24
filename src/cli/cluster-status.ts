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
export function statusJson({ clusterId, featureLevel, nodes, shards }: ClusterDescription) {
  return {
    cluster_id: clusterId,
    feature_level: featureLevel,
    nodes: nodes.map(({ id, address, pid, up, state, disk, version, newestLevel }) => ({
      ...{ id, address, pid, up, state, disk, version, newest_level: newestLevel },
    })),
    shards: shards.map((shard) => ({
      id: shard.id,
      leader: shard.leader,
      term: shard.term,
      commit_index: shard.commitIndex,
      applied_index: shard.appliedIndex,
      replicas: shard.replicas.map((one) => ({
        node: one.node,
        match_index: one.matchIndex,
        role: one.role,
        replica: one.replica,
        catching_up: one.catchingUp,
        leaving: one.leaving,
        suspect: one.suspect,
      })),
      placement: {
        version: shard.placement.version,
        placed_version: shard.placement.placedVersion,
        voters: shard.placement.voters,
        learners: shard.placement.learners,
        leader: shard.placement.leader,
      },
    })),
  };
}

type Shard = ClusterDescription['shards'][number];

function printStatus(cluster: ClusterDescription): void {
  const { clusterId, nodes, shards } = cluster;
  void print(`cluster ${clusterId}${upgradeText(cluster)}\n\n`);
  const nodeRows = nodes.map(({ id, address, pid, up, state, disk }) => {
    const held = shards.filter(({ replicas }) => replicas.some(({ node }) => node === id));
    const led = shards.filter(({ leader }) => leader === id).length;
    const marks = [state === 'leaving' ? ', leaving' : '', disk === 'low' ? '' : `, disk ${disk}`];
    const how = (up ? 'up' : 'DOWN') + marks.join('');
    return [id, address, pid, how, held.length, led];
  });
  printTable(['NODE', 'ADDRESS', 'PID', 'STATE', 'SHARDS', 'LEADS'], nodeRows);
  void print('\n');
  const shardRows = shards.map((shard) => [
    shard.id === 0 ? '0 (meta)' : shard.id,
    shard.leader === 0 ? 'NONE' : `node ${shard.leader}`,
    shard.term,
    shard.commitIndex,
    shard.appliedIndex,
    shard.replicas.map(replicaText).join(' '),
    placementText(shard),
  ]);
  const heads = ['SHARD', 'LEADER', 'TERM', 'COMMIT', 'APPLIED', 'REPLICAS (node:match)', ''];
  printTable(heads, shardRows);
}

/** Where builds are mixed, or the last step of an upgrade is still to be done. */
function upgradeText({ featureLevel, nodes }: ClusterDescription): string {
  const answered = nodes.filter(({ version }) => version !== '');
  const newest = Math.max(featureLevel, ...answered.map(({ newestLevel }) => newestLevel));
  if (newest === featureLevel) return '';
  const behind = nodes.filter(({ newestLevel }) => newestLevel < newest).map(({ id }) => id);
  const next =
    behind.length > 0
      ? `nodes ${behind.join(', ')} run an older build or are down`
      : 'all nodes know it: `holdfast cluster upgrade` ends the upgrade';
  return `\nat feature level ${featureLevel} of ${newest}: ${next}`;
}

/** `3:120`, and what is special about it: `4:80 (catching up)`. */
function replicaText(one: Shard['replicas'][number]): string {
  const learner = one.role === 'learner' ? ['learner'] : [];
  const notes = [
    ...(one.catchingUp ? ['catching up'] : learner),
    ...(one.leaving ? ['goes'] : []),
    ...(one.suspect ? ['SUSPECT'] : []),
  ];
  return `${one.node}:${one.matchIndex}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}`;
}

function placementText({ placement }: Shard): string {
  if (placement.version === placement.placedVersion) return '';
  return `moving to ${[...placement.voters, ...placement.learners].join(', ')}`;
}
