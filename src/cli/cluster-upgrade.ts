/** `holdfast cluster upgrade`: the last step of a rolling upgrade. */
import type { Command } from 'commander';
import { FEATURE_LEVELS } from '../broker/feature-level.ts';
import type { Holdfast } from '../client/index.ts';
import { addServerOption, type ServerOptions, withClient } from './client-options.ts';
import { clusterCommand } from './index.ts';

export function registerClusterUpgrade(program: Command): void {
  const upgrade = clusterCommand(program)
    .command('upgrade')
    .description('end an upgrade: use what the new build brought, and keep older builds out');
  addServerOption(upgrade).action((options: ServerOptions) => withClient(options, endUpgrade));
}

async function endUpgrade({ admin }: Holdfast): Promise<void> {
  const { featureLevel: before } = await admin.describeCluster();
  const level = await admin.raiseFeatureLevel();
  if (level === before) {
    console.log(`the cluster is at feature level ${level}, the newest that all nodes know`);
    return;
  }
  console.log(`the cluster is at feature level ${level} now: older builds are kept out`);
  for (const [each, brought] of FEATURE_LEVELS) {
    if (each > before && each <= level) console.log(`  ${each}: ${brought}`);
  }
}
