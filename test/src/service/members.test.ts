import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { connect, refusal, type TestClient, trailer } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

let cluster: FakeCluster;
let client: TestClient;

beforeAll(async () => {
  cluster = new FakeCluster(3, 2);
  await cluster.start();
  client = connect(cluster.node(3).port);
});
afterAll(async () => {
  client.close();
  await cluster.stop();
});
afterEach(() => cluster.node(3).peers.down.clear());

const admin = <Answer = object>(method: string, request: object = {}): Promise<Answer> =>
  client.call<Answer>(`Admin/${method}`, request);

const four = { node: 4, incarnation: 'i4', grpc_address: 'h:1', peer_address: 'h:2' };

describe('members', () => {
  test('are described with what a new directory must know', async () => {
    expect(await admin('DescribeMembers')).toMatchObject({
      cluster_id: 'test',
      members: [1, 2, 3].map((node) => ({ node, incarnation: `i${node}`, state: 'member' })),
      ...{ data_shards: 2, replication_factor: 3, created_at_ms: '1' },
      born: [1, 2, 3].map((node) => ({ node, incarnation: `i${node}` })),
    });
  });

  test('what is no address or no incarnation is refused', async () => {
    for (const wrong of [{ node: 0 }, { incarnation: '' }, { peer_address: 'nowhere' }]) {
      expect((await refusal(admin('AddMember', { ...four, ...wrong }))).reason).toBe(
        'INVALID_REQUEST',
      );
    }
  });

  test('come and go, and DescribeCluster shows how far', async () => {
    cluster.node(3).peers.down.add(4);
    await admin('AddMember', four);
    await admin('AddMember', four);
    const taken = await refusal(admin('AddMember', { ...four, incarnation: 'other' }));
    expect(taken.reason).toBe('MEMBER_EXISTS');
    const grown = await admin<{ nodes: object[]; shards: object[] }>('DescribeCluster');
    expect(grown.nodes[3]).toMatchObject({ id: 4, address: 'h:1', up: false, state: 'member' });
    const replicas = [1, 2, 3].map((node) => ({ node, catching_up: false, leaving: false }));
    expect(grown.shards[0]).toMatchObject({
      replicas,
      placement: { version: '1', placed_version: '0', voters: [1, 2, 3, 4], leader: 1 },
    });
    await admin('RemoveMember', { node: 4 });
    const left = await admin<{ nodes: object[] }>('DescribeCluster');
    expect(left.nodes[3]).toMatchObject({ id: 4, state: 'leaving' });
    expect((await refusal(admin('AddMember', four))).reason).toBe('MEMBER_LEAVING');
    expect((await refusal(admin('RemoveMember', { node: 9 }))).reason).toBe('MEMBER_NOT_FOUND');
  });

  test('are not removed while most of those that would remain are down', async () => {
    cluster.node(3).peers.down.add(2);
    const { reason, error } = await refusal(admin('RemoveMember', { node: 1 }));
    expect(reason).toBe('QUORUM_AT_RISK');
    expect(error.message).toMatch(/without node 1, 1 of 2 nodes would be down \(2\)/);
    expect(trailer(error, 'retryable')).toBe('false');
    // The one that is down may go.
    await admin('RemoveMember', { node: 2 });
  });
});

describe('leaders', () => {
  test('are wished for among the voters', async () => {
    const placement = cluster.node(3).meta.placement(1)!;
    const other = placement.voters.find(({ node }) => node !== placement.leader)!.node;
    await admin('TransferLeader', { shard: 1, node: other });
    expect(cluster.node(3).meta.placement(1)?.leader).toBe(other);
    expect((await refusal(admin('TransferLeader', { shard: 1, node: 9 }))).reason).toBe(
      'NOT_A_VOTER',
    );
    expect((await refusal(admin('TransferLeader', { shard: 7, node: 1 }))).reason).toBe(
      'SHARD_NOT_FOUND',
    );
    await admin('Rebalance');
  });
});
