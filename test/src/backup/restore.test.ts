import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchShard, type ShardPort } from '../../../src/backup/fetch-shard.ts';
import { type Manifest, readManifest, writeManifest } from '../../../src/backup/manifest.ts';
import { restoreBackup } from '../../../src/backup/restore.ts';
import { openLog, TERM_LEAP } from '../../../src/backup/restore-node.ts';
import { replayShard } from '../../../src/backup/shard-files.ts';
import { ShardReplay } from '../../../src/backup/shard-replay.ts';
import { takeBackup } from '../../../src/backup/take-backup.ts';
import { verifyBackup } from '../../../src/backup/verify-backup.ts';
import { connect, type Holdfast, HoldfastError } from '../../../src/client/index.ts';
import { mintIdentities } from '../../../src/cluster/birth.ts';
import { hasIdentity, readIdentity } from '../../../src/cluster/identity.ts';
import { readTopic } from '../../../src/cluster/topics.ts';
import { readCheckpointFile } from '../../../storage/checkpoint-file.ts';
import { closeCommitLog } from '../../../storage/commit-log.ts';
import { KeyKind } from '../../../storage/keys.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

const NODES = [1, 2, 3];
const MESSAGES = 30;
/** Not the newest: the cluster was born by an earlier build. */
const BORN_AT = 1;
const DAY_MS = 86_400_000;

let cluster: FakeCluster;
let client: Holdfast;
let root: string;
let manifest: Manifest;

beforeAll(async () => {
  cluster = new FakeCluster(3, 2);
  await cluster.start();
  cluster.createTopic('orders', 2);
  client = connect({ servers: `127.0.0.1:${cluster.node(2).port}` });
  await client.admin.updateTopic({ name: 'orders', retentionMs: DAY_MS });
  const producer = client.producer({ topic: 'orders' });
  for (let at = 0; at < MESSAGES; at += 1) {
    await producer.send({ body: Buffer.from(`message ${at}`), queue: at % 2 });
  }
  await producer.close();
  const offsets = [{ queue: 0, offset: 5 }];
  await client.admin.commitOffsets({ group: 'readers', topic: 'orders', offsets });
  root = mkdtempSync(join(tmpdir(), 'holdfast-backup-'));
  manifest = await takeBackup(order(join(root, 'backup')));
});
afterAll(async () => {
  await client.close();
  await cluster.stop();
  rmSync(root, { recursive: true, force: true });
});

function order(directory: string, port: ShardPort = client.admin) {
  const onProgress = () => undefined;
  const birth = { ...cluster.birth, featureLevel: BORN_AT };
  return { port, clusterId: 'test', birth, directory, onProgress };
}

/** A copy that a test may harm. */
function copied(): string {
  const directory = temporaryDirectory();
  cpSync(join(root, 'backup'), directory, { recursive: true });
  return directory;
}

const verified = (directory: string) => verifyBackup(directory, () => undefined);

async function restored(nowMs = manifest.startedAtMs) {
  const directory = temporaryDirectory();
  const identities = mintIdentities(NODES, { dataShards: 2, replicationFactor: 3 }, nowMs);
  const cradles = NODES.map((node) => ({ node, directory: join(directory, `node-${node}`) }));
  const from = join(root, 'backup');
  const more = { manifest, nowMs, onShard: () => undefined };
  const { paused } = await restoreBackup({ from, cradles, identities, ...more });
  return { cradles, identities, paused };
}

describe('a backup', () => {
  it('holds what was acknowledged, for its owner alone, and verifies', async () => {
    expect(manifest.shards.map(({ shard }) => shard)).toEqual([0, 1, 2]);
    expect(manifest.shards.reduce((sum, { messages }) => sum + messages, 0)).toBe(MESSAGES);
    for (const { cut, shard } of manifest.shards) {
      expect(cut.index).toBe(cluster.logs.get(shard)!.entries.length);
    }
    expect(await verified(join(root, 'backup'))).toEqual(manifest);
    const names = readdirSync(join(root, 'backup'));
    expect(names).toHaveLength(4);
    for (const name of names) expect(statSync(join(root, 'backup', name)).mode & 0o77).toBe(0);
    expect(statSync(join(root, 'backup')).mode & 0o77).toBe(0);
  });

  it('is not written over anything', async () => {
    await expect(takeBackup(order(join(root, 'backup')))).rejects.toThrow('is not empty');
    expect(readManifest(join(root, 'backup'))).toEqual(manifest);
  });

  it('holds the logs of shards that wait for their turn', async () => {
    const asked = new Map<number, number>();
    const port: ShardPort = {
      cutShard: (shard) => {
        asked.set(shard, (asked.get(shard) ?? 0) + 1);
        return client.admin.cutShard(shard);
      },
      readShard: async (piece) => {
        await delay(100);
        return client.admin.readShard(piece);
      },
    };
    const directory = join(temporaryDirectory(), 'new');
    await takeBackup({ ...order(directory, port), holdEveryMs: 20 });
    // Twice for the cut and once when it is read.
    expect(asked.get(2)).toBeGreaterThan(3 + 2);
  });

  it('that was interrupted is none', async () => {
    const directory = join(temporaryDirectory(), 'new');
    const port: ShardPort = {
      cutShard: (shard) => client.admin.cutShard(shard),
      readShard: (piece) => {
        if (piece.shard === 2) throw new Error('the cable was pulled');
        return client.admin.readShard(piece);
      },
    };
    await expect(takeBackup(order(directory, port))).rejects.toThrow('cable');
    await expect(verified(directory)).rejects.toThrow('is no backup');
  });

  it('with a flipped bit anywhere does not verify', async () => {
    for (const name of ['shard-0.log', 'shard-2.log', 'manifest.json']) {
      const directory = copied();
      const bytes = readFileSync(join(directory, name));
      const at = Math.floor(bytes.length / 2);
      bytes[at] = bytes[at]! ^ 1;
      writeFileSync(join(directory, name), bytes);
      await expect(verified(directory), name).rejects.toThrow(/damaged|checksum|cannot be read/);
    }
    const directory = copied();
    rmSync(join(directory, 'shard-1.log'));
    await expect(verified(directory)).rejects.toThrow('shard-1.log');
  });

  it('whose files fit and whose state does not is refused, and so is a later format', async () => {
    const directory = copied();
    const shards = manifest.shards.map((one) => ({ ...one, stateDigest: one.logDigest }));
    writeManifest(directory, { ...manifest, shards });
    await expect(verified(directory)).rejects.toThrow('stateDigest is');
    writeManifest(directory, { ...manifest, format: 2 as 1 });
    await expect(verified(directory)).rejects.toThrow('has format 2, this holdfast knows 1');
  });

  it('of a cluster that a later build runs is refused by this one', async () => {
    const replay = new ShardReplay(1, cluster.birth, { index: 0, term: 0, timeMs: 0 }, []);
    const entry = { ...cluster.logs.get(1)!.entries[0]!, head: Buffer.from([250, 9]) };
    expect(() => replay.apply(entry)).toThrow(/^shard 1: entry 1 cannot be applied: command 250/);
  });

  it('goes on with another leader, and gives up one whose log begins too late', async () => {
    const directory = temporaryDirectory();
    const ceiling = manifest.shards[1]!.cut.index;
    let moves = 2;
    const port: ShardPort = {
      cutShard: (shard) => client.admin.cutShard(shard),
      readShard: (piece) => {
        moves -= 1;
        const facts = { code: 'FAILED_PRECONDITION', reason: 'BACKUP_MOVED', message: '' } as const;
        if (moves >= 0) throw new HoldfastError(facts);
        return client.admin.readShard(piece);
      },
    };
    const wanted = { shard: 1, floor: ceiling, ceiling };
    await fetchShard(port, directory, wanted, () => undefined);
    const { logDigest } = await replayShard(directory, 1, cluster.birth);
    expect([moves, logDigest]).toEqual([-1, manifest.shards[1]!.logDigest]);
    const start = { index: ceiling + 1, term: 1 };
    const late = { ...port, cutShard: () => Promise.resolve({ index: 99, timeMs: 0, start }) };
    const failed = fetchShard(late, directory, wanted, () => undefined);
    await expect(failed).rejects.toThrow('take it again');
  });
});

describe('a restored cluster', () => {
  it('has directories that any node would start on, with the same entries and states', async () => {
    const { cradles, identities, paused } = await restored();
    expect(paused).toEqual([]);
    for (const { directory, node } of cradles) {
      expect(readIdentity(directory).featureLevel).toBe(BORN_AT);
      expect(hasIdentity(directory) && existsSync(join(directory, 'log-born'))).toBe(true);
      const log = await openLog(identities[node - 1]!, directory);
      expect(log.recovered.map(({ shard, lastIndex }) => [shard, lastIndex])).toEqual(
        manifest.shards.map(({ shard, cut }) => [shard, cut.index]),
      );
      for (const { shard, state } of log.recovered) {
        const { cut } = manifest.shards[shard]!;
        const hardState = { term: cut.term + TERM_LEAP, vote: 0, commit: cut.index };
        expect(state.hardState).toEqual(hardState);
        expect(state.membership.replicas.map((one) => one.incarnation)).toEqual(
          identities.map(({ incarnation }) => incarnation),
        );
      }
      await closeCommitLog(log);
    }
  });

  it('of an old backup keeps its messages until somebody says otherwise', async () => {
    const { cradles, paused } = await restored(manifest.startedAtMs + 30 * DAY_MS);
    expect(paused).toEqual([{ name: 'orders', retentionMs: DAY_MS }]);
    const file = join(cradles[0]!.directory, `checkpoints/0-${manifest.shards[0]!.cut.index}.ckpt`);
    const retentions: number[] = [];
    await readCheckpointFile(file, ({ key, kind, value }) => {
      if (kind !== KeyKind.topic) return;
      retentions.push(readTopic({ table: 'topic', key, value }).config.retentionMs);
    });
    expect(retentions).toEqual([0]);
  });

  it('takes no directory that is in use', async () => {
    const { cradles, identities } = await restored();
    const from = join(root, 'backup');
    const again = { from, manifest, cradles, identities, nowMs: 0, onShard: () => undefined };
    await expect(restoreBackup(again)).rejects.toThrow('already belongs to node 1');
  });

  it('whose directories are not what the backup says gets no identity', async () => {
    const directory = temporaryDirectory();
    const identities = mintIdentities([1], { dataShards: 2, replicationFactor: 1 }, 0);
    const cradles = [{ node: 1, directory: join(directory, 'node-1') }];
    const [meta, first, second] = manifest.shards;
    const shards = [meta!, { ...first!, logDigest: 'other' }, second!];
    const wrong = { ...manifest, shards };
    const more = { identities, nowMs: 0, onShard: () => undefined };
    const attempt = restoreBackup({
      from: join(root, 'backup'),
      manifest: wrong,
      cradles,
      ...more,
    });
    await expect(attempt).rejects.toThrow('logDigest is');
    expect(hasIdentity(cradles[0]!.directory)).toBe(false);
  });
});
