/** `holdfast token`, `acl` and `quota`, against services that ask who calls. */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Failure } from '../../../src/failure.ts';
import { newTokenKey } from '../../../src/security/token-files.ts';
import { readTokenKeys } from '../../../src/security/token-keys.ts';
import { WatchedTokenKeys } from '../../../src/security/watched-token-keys.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';
import { ADMIN, CLUSTER_ID } from '../../harness/tokens.ts';
import { runCommand } from './run-command.ts';

let directory: string;
let cluster: FakeCluster;
let keys: WatchedTokenKeys;
let lines: string[];

beforeEach(async () => {
  directory = temporaryDirectory();
  newTokenKey(path('tokens'));
  lines = [];
  const note = (line: string) => void lines.push(line);
  keys = await WatchedTokenKeys.open([path('tokens.pub')], { info: note, error: note });
  cluster = new FakeCluster(1, 1);
  cluster.auth = {
    ...{ admins: new Set([ADMIN]), maxTokenLifetimeMs: 86_400_000 },
    ...{ takesCertificates: false, keys },
  };
  await cluster.start();
});
afterEach(() => cluster.stop());

function path(name: string): string {
  return join(directory, name);
}

async function tokenFile(principal: string, ...more: string[]): Promise<string> {
  const key = ['--key', path('tokens.key'), '--cluster', CLUSTER_ID, '--principal', principal];
  const { stdout } = await runCommand('token', 'issue', ...key, ...more);
  const file = path(`${principal}.token`);
  writeFileSync(file, stdout);
  return file;
}

interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  /** Of what it failed with; commander's own complaints are not among them. */
  readonly why: string;
}

async function ran(...words: string[]): Promise<Ran> {
  try {
    const { exitCode, stdout } = await runCommand(...words);
    return { exitCode, stdout: stdout.toString(), why: '' };
  } catch (error) {
    const exitCode = error instanceof Failure ? error.exitCode : 1;
    return { exitCode, stdout: '', why: (error as Error).message };
  }
}

function as(file: string, ...words: string[]): Promise<Ran> {
  const server = ['--server', `127.0.0.1:${cluster.node(1).port}`, '--token-file', file];
  return ran(...words, ...server);
}

describe('holdfast token', () => {
  it('makes keys that only their owner can read, and never over others', async () => {
    expect(statSync(path('tokens.key')).mode & 0o777).toBe(0o600);
    const again = await ran('token', 'key', '--out', path('tokens'));
    expect([again.exitCode, again.why]).toEqual([1, expect.stringMatching(/there already/)]);
  });

  it('issues what services take, and revokes it', async () => {
    const root = await tokenFile(ADMIN);
    const app = await tokenFile('app', '--expires', '1h');
    expect(readFileSync(app, 'utf8')).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    expect(await as(app, 'topic', 'list', '--json')).toMatchObject({ stdout: '[]\n' });
    const revoked = await as(root, 'token', 'revoke', '--principal', 'app');
    expect(revoked.stdout).toBe('tokens of app are revoked\n');
    expect((await as(app, 'topic', 'list')).why).toMatch(/revoked/);

    const told = await runCommand(
      ...['token', 'issue', '--key', path('tokens.key'), '--json'],
      ...['--cluster', CLUSTER_ID, '--principal', 'other'],
    );
    const [{ id, token }] = told.json() as [{ id: string; token: string }];
    writeFileSync(path('other.token'), token);
    expect((await as(path('other.token'), 'topic', 'list')).exitCode).toBe(0);
    await as(root, 'token', 'revoke', '--id', id);
    expect((await as(path('other.token'), 'topic', 'list')).why).toMatch(/revoked/);
  });

  it('refuses names and keys that no service would take', async () => {
    const issue = (...words: string[]) => ran('token', 'issue', '--cluster', CLUSTER_ID, ...words);
    const bad = await issue('--key', path('tokens.key'), '--principal', 'a/b');
    expect([bad.exitCode, bad.why]).toEqual([2, expect.stringMatching(/1 to 127/)]);
    const open = path('open.key');
    writeFileSync(open, readFileSync(path('tokens.key')), { mode: 0o644 });
    const seen = await issue('--key', open, '--principal', 'a');
    expect(seen.why).toMatch(/chmod 600/);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' });
    writeFileSync(path('ec.key'), pem, { mode: 0o600 });
    const other = await issue('--key', path('ec.key'), '--principal', 'a');
    expect(other.why).toMatch(/Ed25519/);
  });
});

describe('files of keys', () => {
  it('take no private key, and nothing that is none', async () => {
    await expect(readTokenKeys([path('tokens.key')])).rejects.toThrow(/holds a private key/);
    await expect(readTokenKeys([path('none')])).rejects.toThrow(/no such file/);
    writeFileSync(path('text.pub'), 'text');
    await expect(readTokenKeys([path('text.pub')])).rejects.toThrow(/holds no public key/);
  });

  it('are read again; what an old key signed is worth nothing then', async () => {
    const root = await tokenFile(ADMIN);
    const before = readFileSync(path('tokens.pub'));
    writeFileSync(path('tokens.pub'), 'half a fi');
    await keys.poll();
    await keys.poll();
    await keys.poll();
    expect(lines).toMatchObject([/holds no public key.*keys before stay in use/]);
    expect((await as(root, 'acl', 'list')).exitCode).toBe(0);
    newTokenKey(path('next'));
    writeFileSync(path('tokens.pub'), readFileSync(path('next.pub')));
    await keys.poll();
    expect(lines[1]).toMatch(/token keys in use from now on: [\w-]{16}$/);
    expect((await as(root, 'acl', 'list')).why).toMatch(/no key of auth.tokenKeys/);
    writeFileSync(path('tokens.pub'), before);
    await keys.poll();
    expect((await as(root, 'acl', 'list')).exitCode).toBe(0);
  });
});

describe('holdfast acl', () => {
  it('grants, lists and revokes', async () => {
    const root = await tokenFile(ADMIN);
    const granted = await as(root, 'acl', 'grant', 'app', 'fetch,produce', '--topic', 'ord*');
    expect(granted.stdout).toBe('app may fetch, produce on topic ord*\n');
    await as(root, 'acl', 'grant', '*', 'commit', '--group', 'shared');
    await as(root, 'acl', 'grant', 'ops', 'admin', '--cluster');
    const table = (await as(root, 'acl', 'list')).stdout.split('\n');
    expect(table).toEqual([
      'PRINCIPAL  VERBS          ON',
      'ops        admin          the cluster',
      '*          commit         group shared',
      'app        produce,fetch  topic ord*',
      '',
    ]);
    await as(root, 'acl', 'revoke', 'app', 'produce', '--topic', 'ord*');
    const left = JSON.parse((await as(root, 'acl', 'list', '--json')).stdout) as object[];
    expect(left[2]).toEqual({
      ...{ principal: 'app', kind: 'topic', name: 'ord', prefix: true, verbs: ['fetch'] },
    });
    const app = await tokenFile('app');
    const denied = await as(app, 'acl', 'list');
    expect([denied.exitCode, denied.why]).toEqual([
      1,
      expect.stringMatching(/^"app" needs admin on the cluster/),
    ]);
  });

  it.each([
    [['app', 'fetch'], /one of --topic, --group and --cluster/],
    [['app', 'fetch', '--topic', 't', '--cluster'], /one of/],
    [['app', 'read', '--topic', 't'], /^$/],
  ])('grant %j is a usage error', async (words, why) => {
    const failed = await as(await tokenFile(ADMIN), 'acl', 'grant', ...words);
    expect([failed.exitCode, failed.why]).toEqual([2, expect.stringMatching(why)]);
  });
});

describe('holdfast quota', () => {
  it('sets, lists and removes', async () => {
    const root = await tokenFile(ADMIN);
    const set = await as(root, 'quota', 'set', 'app', '--produce', '1000000', '--topics', '0');
    expect(set.stdout).toBe('app has a quota\n');
    const limits = ['--fetch', '5', '--requests', '20', '--transactions', '3'];
    await as(root, 'quota', 'set', '*', ...limits);
    const table = (await as(root, 'quota', 'list')).stdout.split('\n');
    expect(table).toEqual([
      'PRINCIPAL  PRODUCE B/S  FETCH B/S  REQUESTS/S  TOPICS  TRANSACTIONS',
      '*          -            5          20          -       3',
      'app        1000000      -          -           0       -',
      '',
    ]);
    expect((await as(root, 'quota', 'remove', '*')).stdout).toBe('* has no quota of its own\n');
    const left = JSON.parse((await as(root, 'quota', 'list', '--json')).stdout) as object[];
    expect(left).toEqual([{ principal: 'app', producedBytesPerSecond: 1_000_000, topics: 0 }]);
  });

  it.each([
    [['app'], /at least one limit/],
    [['app', '--requests', '0'], /^$/],
    [['app', '--topics', '-1'], /^$/],
  ])('set %j is a usage error', async (words, why) => {
    const failed = await as(await tokenFile(ADMIN), 'quota', 'set', ...words);
    expect([failed.exitCode, failed.why]).toEqual([2, expect.stringMatching(why)]);
  });
});
