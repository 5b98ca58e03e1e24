/** `holdfast cluster init`: gives birth to a cluster of several machines, once. */
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { agreedBirth, agreedMembers, giveBirth, mintIdentities } from '../cluster/birth.ts';
import { loadConfig } from '../config-sources.ts';
import { clusterCommand } from './index.ts';
import { repeated } from './options.ts';

interface InitOptions {
  readonly config: readonly string[];
  readonly out?: string;
}

export function registerClusterInit(program: Command): void {
  clusterCommand(program)
    .command('init')
    .description('give birth to a cluster: writes the identity of every node, once')
    .requiredOption('--config <file>', 'configuration of one node; give all of them', repeated, [])
    .option('--out <dir>', 'write to DIR/node-<id> instead of each data directory, to be copied')
    .action(init);
}

/** The environment is not read: it would say the same of every node. */
function init({ config: files, out }: InitOptions): void {
  const configs = files.map((file) => loadConfig({ file }));
  const nodes = agreedMembers(configs);
  const identities = mintIdentities(nodes, agreedBirth(configs), Date.now());
  const cradles = configs.map(({ node, data }) => ({
    node,
    directory: out === undefined ? data : join(out, `node-${node}`),
  }));
  giveBirth(cradles, identities);
  console.log(`cluster ${identities[0]!.clusterId} of ${nodes.length} nodes is born`);
  for (const { node, directory } of cradles) console.log(`  node ${node}  ${resolve(directory)}`);
  if (out === undefined) {
    console.log('Start every node with: holdfast serve --config FILE');
    return;
  }
  console.log('Move each directory to its machine, as the data directory of its configuration;');
  console.log('never copy one twice. Then start every node with: holdfast serve --config FILE');
}
