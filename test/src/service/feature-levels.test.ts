import { afterAll, beforeAll, expect, test } from 'vitest';
import { FIRST_LEVEL, NEWEST_LEVEL } from '../../../src/broker/feature-level.ts';
import { connect, refusal, type TestClient } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';

let cluster: FakeCluster;
let client: TestClient;

beforeAll(async () => {
  cluster = new FakeCluster(3, 1, FIRST_LEVEL);
  await cluster.start();
  client = connect(cluster.node(3).port);
});
afterAll(async () => {
  client.close();
  await cluster.stop();
});

const raise = (level: number) =>
  client.call<{ level: number }>('Admin/RaiseFeatureLevel', { level });
const described = () =>
  client.call<{ feature_level: number; nodes: object[] }>('Admin/DescribeCluster', {});

test('is raised when every member answers that it knows the level, and only then', async () => {
  cluster.node(3).peers.down.add(2);
  expect(await refusal(raise(NEWEST_LEVEL))).toMatchObject({ reason: 'UPGRADE_UNFINISHED' });
  expect(await raise(0)).toEqual({ level: FIRST_LEVEL });
  expect(await described()).toMatchObject({ feature_level: FIRST_LEVEL });
  cluster.node(3).peers.down.clear();
  const before = cluster.logs.get(0)!.entries.length;
  expect(await raise(FIRST_LEVEL)).toEqual({ level: FIRST_LEVEL });
  // Builds that know no levels must not find the command in their log.
  expect(cluster.logs.get(0)!.entries.length).toBe(before);
  expect(await raise(0)).toEqual({ level: NEWEST_LEVEL });
  expect(await raise(FIRST_LEVEL)).toEqual({ level: NEWEST_LEVEL });
  const { feature_level: level, nodes } = await described();
  expect(level).toBe(NEWEST_LEVEL);
  expect(nodes[1]).toMatchObject({ newest_level: NEWEST_LEVEL, version: expect.any(String) });
});
