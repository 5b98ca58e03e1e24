/** `holdfast cluster add`: gives an empty directory its identity and makes its node a member. */
import type { Command } from 'commander';
import { formatAddress } from '../address.ts';
import type { ClusterDescription, Holdfast, MembersDescription } from '../client/index.ts';
import { makeDirectoryDurably } from '../cluster/durable-file.ts';
import { writeIdentity } from '../cluster/identity.ts';
import {
  assertCradleEmpty,
  assertSameCluster,
  isSettled,
  joiningIdentity,
  unfinishedIdentity,
} from '../cluster/joining.ts';
import type { NodeConfig } from '../config.ts';
import { loadConfig } from '../config-sources.ts';
import { Failure } from '../failure.ts';
import { addServerOption, type ServerOptions, withClient } from './client-options.ts';
import {
  addWaitOptions,
  progress,
  type Step,
  unplaced,
  type WaitOptions,
  waitFor,
} from './cluster-progress.ts';
import { clusterCommand } from './index.ts';

interface AddOptions extends ServerOptions, WaitOptions {
  readonly config: string;
  readonly once: boolean;
}

export function registerClusterAdd(program: Command): void {
  const add = clusterCommand(program)
    .command('add')
    .description('make a node with an empty data directory a member; then serve starts it')
    .requiredOption('--config <file>', 'configuration of the new node')
    .option('--once', 'ask nobody, and be content, when its directory has taken part', false);
  addServerOption(addWaitOptions(add, 'its share of the shards has moved to it')).action(
    async (options: AddOptions) => {
      const config = loadConfig({ file: options.config, environment: process.env });
      if (options.once && isSettled(config.data)) {
        console.log(`node ${config.node} has its identity: nothing to do`);
        return;
      }
      await withClient(options, (client) => addNode(client, config, options));
    },
  );
}

async function addNode(client: Holdfast, config: NodeConfig, options: AddOptions): Promise<void> {
  const { config: file, wait } = options;
  const cluster = await client.admin.describeMembers();
  assertSameCluster(config, cluster);
  const { node } = config;
  const incarnation = settleIdentity(config, cluster);
  await client.admin.addMember({
    node,
    incarnation,
    grpcAddress: formatAddress(config.advertise.grpc),
    peerAddress: formatAddress(config.advertise.peer),
  });
  console.log(`node ${node} is a member of cluster ${cluster.clusterId}`);
  const running = (await client.admin.describeCluster()).nodes.find(({ id }) => id === node)?.up;
  if (running !== true) console.log(`start it with: holdfast serve --config ${file}`);
  if (!wait) return;
  console.error('waiting until its shards are there (Ctrl-C stops the waiting, not the move)');
  await waitFor(client, options, (now) => joinProgress(now, node));
  console.log(`node ${node} holds its share of the shards`);
}

/** Written before the cluster hears of it: a crash in between is mended by the same command. */
function settleIdentity(config: NodeConfig, cluster: MembersDescription): string {
  const { data, node } = config;
  const begun = unfinishedIdentity(config, cluster);
  const member = cluster.members.find((one) => one.node === node);
  if (begun !== undefined && member?.incarnation === begun) return begun;
  if (member !== undefined) {
    throw new Failure(
      `node ${node} is a member already, with another data directory; if that one is lost: ` +
        `holdfast cluster remove ${node}, then this command again`,
    );
  }
  if (begun === undefined) assertCradleEmpty(node, data);
  const identity = joiningIdentity(node, cluster, begun);
  makeDirectoryDurably(data);
  writeIdentity(data, identity);
  return identity.incarnation;
}

function joinProgress(cluster: ClusterDescription, node: number): Step | undefined {
  const own = cluster.nodes.find(({ id }) => id === node);
  if (own === undefined) return { text: `the node that answers has not heard of node ${node} yet` };
  if (!own.up) return { text: `node ${node} is not running: start it` };
  return unplaced(cluster).length === 0 ? undefined : progress(cluster);
}
