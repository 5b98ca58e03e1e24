/** `holdfast cluster transfer` and `rebalance`: who leads, and where replicas are. */
import type { Command } from 'commander';
import type { ClusterDescription, Holdfast } from '../client/index.ts';
import { addServerOption, type ServerOptions, withClient } from './client-options.ts';
import {
  addWaitOptions,
  progress,
  type Step,
  unplaced,
  type WaitOptions,
  waitFor,
} from './cluster-progress.ts';
import { nodeNumber } from './cluster-remove.ts';
import { clusterCommand } from './index.ts';
import { wholeNumber } from './options.ts';

const SHARD_MAX = 1024;

interface TransferOptions extends ServerOptions, WaitOptions {
  readonly shard: number;
  readonly to: number;
}

interface RebalanceOptions extends ServerOptions, WaitOptions {}

export function registerClusterTransfer(program: Command): void {
  const transfer = clusterCommand(program)
    .command('transfer')
    .description('let another node lead a shard from now on')
    .requiredOption('--shard <s>', 'number of the shard', wholeNumber(0, SHARD_MAX))
    .requiredOption('--to <node>', 'one of its voters', nodeNumber);
  addServerOption(addWaitOptions(transfer, 'it leads')).action((options: TransferOptions) =>
    withClient(options, (client) => transferTo(client, options)),
  );
  const rebalance = clusterCommand(program)
    .command('rebalance')
    .description('spread replicas and leaders evenly over the nodes again');
  addServerOption(addWaitOptions(rebalance, 'everything is in place')).action(
    (options: RebalanceOptions) => withClient(options, (client) => rebalanceAll(client, options)),
  );
}

async function transferTo(client: Holdfast, options: TransferOptions): Promise<void> {
  const { shard, to, wait } = options;
  await client.admin.transferLeader(shard, to);
  if (wait) {
    await waitFor(client, options, ({ nodes, shards }) => {
      const found = shards.find(({ id }) => id === shard);
      if (found?.leader === to) return undefined;
      const text = `shard ${shard} is led by node ${found?.leader || 'none'}`;
      const isDown = nodes.find(({ id }) => id === to)?.up === false;
      return isDown ? { text, stuck: `node ${to} is down: start it` } : { text };
    });
  }
  console.log(`node ${to} ${wait ? 'leads' : 'is to lead'} shard ${shard}`);
}

async function rebalanceAll(client: Holdfast, options: RebalanceOptions): Promise<void> {
  const { wait } = options;
  await client.admin.rebalance();
  if (wait) await waitFor(client, options, spread);
  console.log(wait ? 'replicas and leaders are spread evenly' : 'replicas and leaders will move');
}

function spread(cluster: ClusterDescription): Step | undefined {
  if (unplaced(cluster).length > 0) return progress(cluster);
  const isUp = (node: number) => cluster.nodes.find(({ id }) => id === node)?.up === true;
  const misled = cluster.shards.filter(
    ({ leader, placement }) => leader !== placement.leader && isUp(placement.leader),
  );
  if (misled.length === 0) return undefined;
  return { text: `leaders to move: ${misled.length}` };
}
