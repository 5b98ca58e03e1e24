/** `holdfast restore`: gives birth to a cluster that has what a backup holds. */
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { restoreBackup } from '../backup/restore.ts';
import { verifyBackup } from '../backup/verify-backup.ts';
import { agreedBirth, agreedMembers, mintIdentities } from '../cluster/birth.ts';
import type { NodeConfig } from '../config.ts';
import { loadConfig } from '../config-sources.ts';
import { ExitCode, Failure } from '../failure.ts';
import { orNoSpace } from './backup.ts';
import { printJson } from './client-options.ts';
import { repeated } from './options.ts';

interface RestoreOptions {
  readonly from: string;
  readonly config: readonly string[];
  readonly out?: string;
  readonly json?: boolean;
}

export function registerRestore(program: Command): void {
  program
    .command('restore')
    .description('give birth to a new cluster that has what a backup holds, once')
    .requiredOption('--from <dir>', 'the backup')
    .requiredOption('--config <file>', 'configuration of one node; give all of them', repeated, [])
    .option('--out <dir>', 'write to DIR/node-<id> instead of each data directory, to be copied')
    .option('--json', 'for scripts: JSON instead of text')
    .action(restore);
}

async function restore({ config: files, from, json, out }: RestoreOptions): Promise<void> {
  const configs = files.map((file) => loadConfig({ file }));
  const nodes = agreedMembers(configs);
  const { replicationFactor } = agreedBirth(configs);
  const cradles = configs.map(({ data, node }) => ({
    node,
    directory: out === undefined ? data : join(out, `node-${node}`),
  }));
  const source = resolve(from);
  console.error(`  verifying ${source}`);
  const manifest = await verifyBackup(source, () => undefined);
  const { dataShards } = manifest;
  assertShardCount(configs, dataShards);
  const nowMs = Date.now();
  const birth = { dataShards, ...(replicationFactor && { replicationFactor }) };
  const identities = mintIdentities(nodes, birth, nowMs);
  let done = 0;
  const onShard = (): void => {
    done += 1;
    console.error(`  restored ${done} of ${manifest.shards.length} shards`);
  };
  const order = { from: source, manifest, cradles, identities, nowMs, onShard };
  const { paused } = await orNoSpace('the new directories', () => restoreBackup(order));
  const { clusterId } = identities[0]!;
  const directories = cradles.map(({ directory, node }) => ({
    node,
    directory: resolve(directory),
  }));
  if (json) {
    // Topics that keep everything for now.
    const kept = paused.map((one) => ({ topic: one.name, retention_ms: one.retentionMs }));
    printJson({ cluster_id: clusterId, from_cluster_id: manifest.clusterId, directories, kept });
    return;
  }
  console.log(`cluster ${clusterId} of ${nodes.length} nodes is born from ${source}`);
  for (const { directory, node } of directories) console.log(`  node ${node}  ${directory}`);
  console.log('Every checksum and digest of the backup was found again in these directories.');
  for (const topic of paused) {
    console.log(
      `  topic ${topic.name} keeps everything for now; when you have looked:  ` +
        `holdfast topic update ${topic.name} --retention ${topic.retentionMs}ms`,
    );
  }
  console.log('Start every node with: holdfast serve --config FILE');
}

/** Queues and groups lie in the shards that they were given when the cluster was born. */
function assertShardCount(configs: readonly NodeConfig[], dataShards: number): void {
  const other = configs.find(({ birth }) => (birth.dataShards ?? dataShards) !== dataShards);
  if (other === undefined) return;
  throw new Failure(
    `the backup has ${dataShards} data shards, node ${other.node} is configured with ` +
      `${other.birth.dataShards}: set dataShards to ${dataShards}, or leave it out`,
    ExitCode.usage,
  );
}
