/** `holdfast cluster remove`: moves a node's replicas to the others, then it is no member. */
import { type Command, InvalidArgumentError } from 'commander';
import type { ClusterDescription, Holdfast, MembersDescription } from '../client/index.ts';
import { addServerOption, type ServerOptions, withClient } from './client-options.ts';
import {
  addWaitOptions,
  progress,
  type Step,
  type WaitOptions,
  waitFor,
} from './cluster-progress.ts';
import { clusterCommand } from './index.ts';
import { wholeNumber } from './options.ts';

interface RemoveOptions extends ServerOptions, WaitOptions {}

export const NODE_MAX = 10_000;

/** `3`, as an argument. */
export function nodeNumber(text: string): number {
  try {
    return wholeNumber(1, NODE_MAX)(text);
  } catch {
    throw new InvalidArgumentError('must be the number of a node.');
  }
}

export function registerClusterRemove(program: Command): void {
  const remove = clusterCommand(program)
    .command('remove')
    .description('take a node out of the cluster for good, running or lost')
    .argument('<node>', 'its number', nodeNumber);
  addServerOption(addWaitOptions(remove, 'its replicas have moved away')).action(
    (node: number, options: RemoveOptions) =>
      withClient(options, (client) => removeNode(client, node, options)),
  );
}

async function removeNode(client: Holdfast, node: number, options: RemoveOptions): Promise<void> {
  const before = await client.admin.describeCluster();
  const { members } = await client.admin.describeMembers();
  const removed = members.find((member) => member.node === node);
  await client.admin.removeMember(node);
  console.log(`node ${node} is being removed from cluster ${before.clusterId}`);
  if (!options.wait) return;
  console.error('waiting until its shards have moved (Ctrl-C stops the waiting, not the move)');
  // The node itself sends everybody away at the end, so the others are asked.
  const others = before.nodes.filter(({ id, up }) => id !== node && up);
  const addresses = others.map(({ address }) => address).filter((address) => address !== '');
  const server = addresses.length === 0 ? options.server : addresses.join(',');
  const asked = server === undefined ? options : { ...options, server };
  await withClient(asked, (other) =>
    waitFor(other, options, async (now) =>
      removeProgress(now, (await other.admin.describeMembers()).members, removed),
    ),
  );
  console.log(`node ${node} is no member any more: stop it and delete its directory`);
}

/** By directory: under its number the next one may be a member already, as pods add themselves. */
export function removeProgress(
  cluster: ClusterDescription,
  members: MembersDescription['members'],
  removed: MembersDescription['members'][number] | undefined,
): Step | undefined {
  const isThere = members.some(
    ({ incarnation, node }) => node === removed?.node && incarnation === removed.incarnation,
  );
  return isThere ? progress(cluster) : undefined;
}
