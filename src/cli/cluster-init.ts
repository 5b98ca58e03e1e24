/** `holdfast cluster init`: gives birth to a cluster of several machines, once. */
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import {
  agreedBirth,
  agreedMembers,
  assertNewCluster,
  type Cradle,
  giveBirth,
  mintIdentities,
} from '../cluster/birth.ts';
import { giveBirthOnce } from '../cluster/birth-once.ts';
import type { NodeConfig } from '../config.ts';
import { loadConfig } from '../config-sources.ts';
import { ExitCode, Failure } from '../failure.ts';
import { clusterCommand } from './index.ts';
import { repeated } from './options.ts';

interface InitOptions {
  readonly config: readonly string[];
  readonly out?: string;
  readonly once: boolean;
}

export function registerClusterInit(program: Command): void {
  clusterCommand(program)
    .command('init')
    .description('give birth to a cluster: writes the identity of every node, once')
    .requiredOption('--config <file>', 'configuration of one node; give all of them', repeated, [])
    .option('--out <dir>', 'write to DIR/node-<id> instead of each data directory, to be copied')
    .option('--once', 'write nothing, and be content, when the cluster is born already', false)
    .action(init);
}

function init({ config: files, once, out }: InitOptions): void {
  if (once && out !== undefined) {
    // What was moved away could not be seen the next time.
    throw new Failure(
      '--once needs the data directories themselves, without --out',
      ExitCode.usage,
    );
  }
  const configs = loadConfigs(files);
  const nodes = agreedMembers(configs);
  const cradles = configs.map(({ node, data }) => ({
    node,
    directory: out === undefined ? data : join(out, `node-${node}`),
  }));
  const mint = () => {
    assertNewCluster(configs);
    return mintIdentities(nodes, agreedBirth(configs), Date.now());
  };
  if (once) {
    reportOnce(giveBirthOnce(cradles, mint));
    return;
  }
  const identities = mint();
  giveBirth(cradles, identities);
  console.log(`cluster ${identities[0]!.clusterId} of ${nodes.length} nodes is born`);
  reportCradles(cradles);
  if (out === undefined) {
    console.log('Start every node with: holdfast serve --config FILE');
    return;
  }
  console.log('Move each directory to its machine, as the data directory of its configuration;');
  console.log('never copy one twice. Then start every node with: holdfast serve --config FILE');
}

/** The environment is read for one file alone: it would say the same of every node. */
function loadConfigs(files: readonly string[]): readonly NodeConfig[] {
  const environment = files.length === 1 ? process.env : {};
  return files.map((file) => loadConfig({ file, environment }));
}

function reportOnce({ clusterId, lost, written }: ReturnType<typeof giveBirthOnce>): void {
  console.log(`cluster ${clusterId} is born${written.length === 0 ? ' already' : ''}`);
  reportCradles(written);
  for (const { node, directory } of lost) {
    console.log(
      `node ${node} has lost ${directory}: it stays out until "holdfast cluster remove ${node}" ` +
        'and "holdfast cluster add"',
    );
  }
}

function reportCradles(cradles: readonly Cradle[]): void {
  for (const { node, directory } of cradles) console.log(`  node ${node}  ${resolve(directory)}`);
}
