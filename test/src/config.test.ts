import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEFAULT_RAFT_CONFIG, validateRaftConfig } from '../../raft/config.ts';
import { DEFAULTS } from '../../src/config.ts';
import { checkConfig, knownKeys, loadConfig, variableOf } from '../../src/config-sources.ts';
import { ExitCode, Failure } from '../../src/failure.ts';
import { packageRoot } from '../../src/package-root.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

const LEAST = { node: 2, data: 'd' };

function failureOf(run: () => unknown): Failure {
  try {
    run();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('did not fail');
}

function refusal(tree: unknown): string {
  const failure = failureOf(() => checkConfig(tree, 'f.yaml'));
  expect(failure.exitCode).toBe(ExitCode.usage);
  expect(failure.message).not.toContain('\n');
  return failure.message;
}

describe('defaults', () => {
  it('a node number and a directory are enough', () => {
    const config = checkConfig(LEAST, 'f');
    expect(config.listen).toEqual({
      grpc: { host: '127.0.0.1', port: 7402 },
      peer: { host: '127.0.0.1', port: 7502 },
      http: { host: '127.0.0.1', port: 7602 },
    });
    const { grpc, peer } = config.listen;
    expect(config.advertise).toEqual({ grpc, peer });
    expect(config.metrics).toBe(true);
    expect(config.limits).toEqual(DEFAULTS.limits);
    expect(config.raft).toEqual(DEFAULTS.raft);
    expect(config.birth).toEqual({});
  });

  it('the result is frozen to the bottom', () => {
    const config = checkConfig(LEAST, 'f');
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.listen.grpc)).toBe(true);
    expect(Object.isFrozen(config.raft)).toBe(true);
  });
});

describe('refused, in one line that names the key', () => {
  it.each([
    [{ ...LEAST, electionTimeout: 1 }, /unknown key electionTimeout/],
    [
      { ...LEAST, raft: { electionTimeout: 1 } },
      /raft\.electionTimeout .*mean electionTimeoutMs\?/,
    ],
    [{ ...LEAST, Data: 'x' }, /unknown key Data \(did you mean data\?\)/],
    [{ data: 'd' }, /node: missing/],
    [{ node: 0, data: 'd' }, /node: /],
    [{ node: 1.5, data: 'd' }, /node: /],
    [{ ...LEAST, listen: { grpc: '7401' } }, /listen\.grpc: must be host:port/],
    [{ ...LEAST, listen: { grpc: '127.0.0.1:99999' } }, /listen\.grpc: must be host:port/],
    [{ ...LEAST, peers: { two: '127.0.0.1:1' } }, /peers\.two/],
    [{ ...LEAST, raft: { electionTimeoutMs: 449 } }, /electionTimeoutMs: 449 .* 3 times/],
    [{ ...LEAST, raft: { quietRefreshMs: 1199 } }, /raft\.quietRefreshMs: 1199 .*1200/],
    [{ ...LEAST, raft: { snapshotChunkBytes: 4095 } }, /raft\.snapshotChunkBytes: /],
    [{ ...LEAST, raft: { snapshotChunkBytes: 2 ** 24 + 1 } }, /raft\.snapshotChunkBytes: /],
    [{ ...LEAST, raft: { snapshotChunkBytes: 2 ** 24 } }, /maxInflightSnapshotChunks: 4 times/],
    [{ ...LEAST, raft: { maxInflightSnapshotChunks: 0 } }, /raft\.maxInflightSnapshotChunks: /],
    [{ ...LEAST, raft: { maxInflightSnapshotChunks: 129 } }, /129 times .*\(262144\)/],
    [{ ...LEAST, raft: { maxOutgoingSnapshots: 0 } }, /raft\.maxOutgoingSnapshots: /],
    [{ ...LEAST, raft: { maxOutgoingSnapshots: 65 } }, /raft\.maxOutgoingSnapshots: /],
    [{ ...LEAST, retention: { slowReplicaGraceMs: 1000 } }, /slowReplicaGraceMs: 1000 .*1200/],
    [{ ...LEAST, retention: { diskHighPercent: 90 } }, /diskCriticalPercent: 85 .*High.* \(90\)/],
    [{ ...LEAST, retention: { maxDataBytes: 1 } }, /retention.maxDataBytes/],
    [{ ...LEAST, log: { segmentBytes: 2 ** 20 } }, /log\.segmentBytes: /],
    [{ ...LEAST, limits: { maxRequestBytes: 100_000 } }, /limits\.maxRequestBytes: /],
    [{ ...LEAST, logLevel: 'loud' }, /logLevel: /],
    [[], /f\.yaml/],
  ])('%j', (tree, expected) => {
    expect(refusal(tree)).toMatch(expected);
  });

  it('accepts the election timeout exactly at the bound', () => {
    const tree = { ...LEAST, raft: { heartbeatIntervalMs: 150, electionTimeoutMs: 750 } };
    expect(checkConfig(tree, 'f').raft.electionTimeoutMs).toBe(750);
  });
});

describe('what Raft is told', () => {
  it('takes every setting of the section as written', () => {
    const raft = {
      heartbeatIntervalMs: 100,
      electionTimeoutMs: 300,
      quietRefreshMs: 300,
      maxCatchUpBytes: 4 * 1024 * 1024,
      snapshotChunkBytes: 2 ** 20,
      maxInflightSnapshotChunks: 32,
      maxOutgoingSnapshots: 64,
    };
    const config = checkConfig({ ...LEAST, raft }, 'f');
    expect(config.raft).toEqual(raft);
    expect(validateRaftConfig({ ...DEFAULT_RAFT_CONFIG, ...config.raft })).toMatchObject(raft);
  });
});

describe('listening beyond this machine', () => {
  const open = { ...LEAST, listen: { grpc: '10.1.2.3:7401' } };

  const ownKey = { cert: 'n.crt', key: 'n.key' };

  it('needs insecure: true, and says so', () => {
    expect(refusal(open)).toMatch(/10\.1\.2\.3:7401 .*insecure: true/);
    expect(checkConfig({ ...open, insecure: true }, 'f').listen.grpc.host).toBe('10.1.2.3');
  });

  it.each(['127.0.0.1:1', '127.9.9.9:1', 'localhost:1', '[::1]:1'])('%s is this machine', (at) => {
    expect(() => checkConfig({ ...LEAST, listen: { grpc: at } }, 'f')).not.toThrow();
  });

  it('or needs TLS, each port its own, and to ask who calls', () => {
    const listen = { grpc: '10.1.2.3:7401', peer: '10.1.2.3:7501' };
    const auth = { tokenKeys: ['t.pub'] };
    const both = { ...LEAST, listen, auth };
    const all = { ...ownKey, peer: { ...ownKey, ca: 'ca.crt' } };
    expect(refusal({ ...LEAST, listen, tls: all })).toMatch(/listen\.grpc: .* set auth,/);
    expect(() => checkConfig({ ...LEAST, listen, tls: all, insecure: true }, 'f')).not.toThrow();
    const peer = { ...ownKey, ca: 'ca.crt' };
    expect(refusal({ ...both, tls: ownKey })).toMatch(/listen\.peer: .*set tls\.peer,/);
    expect(refusal({ ...both, tls: { peer } })).toMatch(/listen\.grpc: .*set tls\.cert and/);
    const { tls } = checkConfig({ ...both, tls: { ...ownKey, clientCa: 'c.crt', peer } }, 'f');
    expect(tls).toEqual({ grpc: { ...ownKey, ca: 'c.crt' }, peer });
  });

  it.each([
    [{ cert: 'n.crt' }, /tls\.key: missing/],
    [{ key: 'n.key' }, /tls\.cert: missing/],
    [{ clientCa: 'ca.crt' }, /tls\.cert: missing/],
    [{ ...ownKey, ca: 'ca.crt' }, /unknown key tls\.ca/],
    [{ peer: ownKey }, /tls\.peer\.ca: missing/],
    [{ cert: '', key: 'n.key' }, /tls\.cert/],
  ])('TLS by halves is refused: %j', (tls, why) => {
    expect(refusal({ ...LEAST, tls })).toMatch(why);
  });

  it.each([
    [{}, /nobody could call; give auth\.tokenKeys/],
    [{ admins: ['root'] }, /nobody could call/],
    [{ clientCertificates: true }, /auth\.clientCertificates: needs tls\.clientCa/],
    [{ tokenKeys: ['t.pub'], admins: ['a/b'] }, /auth\.admins\.0: must be/],
    [{ tokenKeys: ['t.pub'], maxTokenLifetimeMs: 91 * 86_400_000 }, /auth\.maxTokenLifetimeMs/],
    [{ tokenKeys: 't.pub' }, /auth\.tokenKeys/],
  ])('asking by halves is refused: %j', (auth, why) => {
    expect(refusal({ ...LEAST, auth })).toMatch(why);
  });

  it('asks nobody on loopback unless told to, then with these defaults', () => {
    expect(checkConfig(LEAST, 'f').auth).toBeUndefined();
    const settings = ['node=1', 'data=d', 'auth.tokenKeys=[a.pub, b.pub]'];
    expect(loadConfig({ settings }).auth).toEqual({
      ...{ tokenKeys: ['a.pub', 'b.pub'], admins: [], clientCertificates: false },
      maxTokenLifetimeMs: 86_400_000,
    });
  });

  it('takes the paths from anywhere, as text', () => {
    const environment = { HOLDFAST_TLS_PEER_CERT: '1', HOLDFAST_TLS_PEER_KEY: 'true' };
    const settings = ['node=1', 'data=d', 'tls.peer.ca=~'];
    const { peer } = loadConfig({ environment, settings }).tls;
    expect(peer).toEqual({ cert: '1', key: 'true', ca: '~' });
  });

  it('on every interface needs an address that others can dial', () => {
    const wild = { ...LEAST, insecure: true, listen: { grpc: '0.0.0.0:7401' } };
    expect(refusal(wild)).toMatch(/advertise\.grpc: needed/);
    const said = { ...wild, advertise: { grpc: 'broker-2:7401' } };
    expect(checkConfig(said, 'f').advertise.grpc).toEqual({ host: 'broker-2', port: 7401 });
  });

  it('one port cannot serve both', () => {
    const same = { ...LEAST, listen: { grpc: '127.0.0.1:9', peer: '127.0.0.1:9' } };
    expect(refusal(same)).toMatch(/listen\.peer: .* port of its own/);
    const third = { ...LEAST, listen: { peer: '127.0.0.1:9', http: '127.0.0.1:9' } };
    expect(refusal(third)).toMatch(/listen\.http: 127\.0\.0\.1:9 is listen\.peer too/);
    expect(() => checkConfig({ ...third, metrics: false }, 'f')).not.toThrow();
  });

  it('numbers may be shown anywhere', () => {
    const shown = { ...LEAST, listen: { http: '0.0.0.0:7602' } };
    expect(checkConfig(shown, 'f').listen.http).toEqual({ host: '0.0.0.0', port: 7602 });
    expect(refusal({ ...LEAST, metrics: 'no' })).toMatch(/metrics: /);
    expect(refusal({ ...LEAST, advertise: { http: '10.0.0.1:1' } })).toMatch(/advertise\.http/);
  });
});

describe('webhooks', () => {
  const withUrl = (url: string, more: object = {}) => ({
    ...LEAST,
    ...more,
    transactions: { webhooks: { shop: { url } } },
  });

  it('a URL is enough', () => {
    const { transactions } = checkConfig(withUrl('https://shop.example/checks?k=1'), 'f');
    expect(transactions.webhooks).toEqual({
      shop: { url: 'https://shop.example/checks?k=1', timeoutMs: DEFAULTS.webhookTimeoutMs },
    });
    for (const at of ['http://localhost:1', 'http://127.0.0.1:1/x', 'http://[::1]:1']) {
      expect(() => checkConfig(withUrl(at), 'f')).not.toThrow();
    }
  });

  it('unencrypted to another machine only where that is said', () => {
    expect(refusal(withUrl('http://shop.example'))).toMatch(/webhooks\.shop: .*insecure: true/);
    expect(() =>
      checkConfig(withUrl('http://shop.example', { insecure: true }), 'f'),
    ).not.toThrow();
  });

  it.each([
    [{ shop: { url: 'ftp://shop.example' } }, /webhooks\.shop\.url: must be http/],
    [{ shop: { url: 'https://me:secret@shop.example' } }, /without a password/],
    [{ shop: { url: 'https://shop.example/#x' } }, /shop\.url: must be http/],
    [{ shop: { url: 'shop' } }, /shop\.url: must be http/],
    [{ shop: {} }, /webhooks\.shop\.url: missing/],
    [{ shop: { url: 'https://a', timeout: 1 } }, /webhooks\.shop\.timeout .*mean timeoutMs\?/],
    [{ shop: { url: 'https://a', timeoutMs: 99 } }, /shop\.timeoutMs: /],
    [{ '': { url: 'https://a' } }, /webhooks/],
    [Object.fromEntries(Array.from({ length: 257 }, (_, i) => [i, { url: 'https://a' }])), /256/],
  ])('refused: %j', (webhooks, expected) => {
    expect(refusal({ ...LEAST, transactions: { webhooks } })).toMatch(expected);
  });

  it('from a flag or the environment as JSON', () => {
    const text = '{"shop":{"url":"https://a/b"}}';
    const settings = ['node=1', 'data=d', `transactions.webhooks=${text}`];
    expect(loadConfig({ settings }).transactions.webhooks.shop!.url).toBe('https://a/b');
    const environment = { HOLDFAST_TRANSACTIONS_WEBHOOKS: text };
    const config = loadConfig({ settings: ['node=1', 'data=d'], environment });
    expect(config.transactions.webhooks.shop!.url).toBe('https://a/b');
  });
});

describe('sources', () => {
  function fileWith(text: string): string {
    const file = join(temporaryDirectory(), 'node.yaml');
    writeFileSync(file, text);
    return file;
  }

  it('flags win over the environment, the environment over the file', () => {
    const file = fileWith('node: 1\ndata: a\nraft: {electionTimeoutMs: 900}\nlogLevel: warn\n');
    const config = loadConfig({
      file,
      environment: {
        HOLDFAST_RAFT_ELECTION_TIMEOUT_MS: '800',
        HOLDFAST_LOG_LEVEL: 'error',
        HOLDFAST_DATA: '007',
        HOLDFAST_SERVER: 'localhost:7401',
        PATH: '/bin',
      },
      settings: ['raft.electionTimeoutMs=700', 'raft.heartbeatIntervalMs=100'],
    });
    expect(config.raft).toMatchObject({ electionTimeoutMs: 700, heartbeatIntervalMs: 100 });
    expect(config.logLevel).toBe('error');
    expect(config.data).toBe('007');
  });

  it('reads peers from one variable and leaves the node itself out', () => {
    const config = loadConfig({
      settings: ['node=1', 'data=d'],
      environment: { HOLDFAST_PEERS: '1=127.0.0.1:1, 2=127.0.0.1:2,3=[::1]:3' },
    });
    expect([...config.peers]).toEqual([
      [2, { host: '127.0.0.1', port: 2 }],
      [3, { host: '::1', port: 3 }],
    ]);
  });

  it.each([
    [{ environment: { HOLDFAST_NOED: '1' } }, /HOLDFAST_NOED: .*mean HOLDFAST_NODE\?/],
    [{ settings: ['nod=1'] }, /--set nod=1: .*mean node\?/],
    [{ settings: ['node'] }, /must be KEY=VALUE/],
    [{ environment: { HOLDFAST_PEERS: 'x' } }, /HOLDFAST_PEERS: must be ID=HOST:PORT/],
    [{ file: 'no-such.yaml' }, /no-such\.yaml: there is no such file/],
  ])('%j', (sources, expected) => {
    expect(failureOf(() => loadConfig(sources)).message).toMatch(expected);
  });

  it('a file that is not YAML, or not keys and values', () => {
    expect(failureOf(() => loadConfig({ file: fileWith('a: [') })).message).toMatch(
      /not valid YAML/,
    );
    expect(failureOf(() => loadConfig({ file: fileWith('- 1') })).message).toMatch(/keys: values/);
  });

  it('docs/operations.md lists every key, with its default', () => {
    const page = readFileSync(join(packageRoot(), 'docs/operations.md'), 'utf8');
    const rows = page.split('\n').filter((line) => line.startsWith('| `'));
    for (const key of knownKeys()) {
      const row = rows.find((line) => line.split('|')[1]!.includes(`\`${key}\``));
      expect(row, key).toBeDefined();
      const value = key.split('.').reduce<unknown>((tree, step) => tree?.[step as never], DEFAULTS);
      if (typeof value === 'number') expect(row!.split('|')[2]!.trim(), key).toBe(`${value}`);
    }
  });

  it('every key has a variable of its own', () => {
    const keys = knownKeys();
    expect(keys).toContain('limits.maxMessageBytes');
    expect(new Set(keys.map(variableOf)).size).toBe(keys.length);
  });
});
