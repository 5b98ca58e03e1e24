import { expect, it } from 'vitest';
import { removeProgress } from '../../../src/cli/cluster-remove.ts';
import type { ClusterDescription, MembersDescription } from '../../../src/client/index.ts';

const cluster: ClusterDescription = {
  ...{ clusterId: 'c', node: 1, nodes: [], featureLevel: 1, shards: [] },
};

function member(incarnation: string): MembersDescription['members'][number] {
  const addresses = { grpcAddress: 'h:1', peerAddress: 'h:2' };
  return { node: 3, incarnation, state: 'leaving', ...addresses };
}

it('is done when the directory is no member, whoever has its number then', () => {
  const lost = member('lost');
  expect(removeProgress(cluster, [lost], lost)).toEqual({ text: 'shards in place: 0 of 0' });
  expect(removeProgress(cluster, [], lost)).toBeUndefined();
  expect(removeProgress(cluster, [member('new')], lost)).toBeUndefined();
});
