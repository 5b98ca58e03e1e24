/** What bounds a client's connections: every limit of grpc-js and HTTP/2, each looked at or met. */
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { createRequire } from 'node:module';
import { connect as connectTcp, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import {
  newAuthority,
  newNodeCertificate,
  pathsOf,
} from '../../../src/security/certificate-directory.ts';
import { TlsServerCredentials } from '../../../src/security/server-credentials.ts';
import { WatchedMaterial } from '../../../src/security/watched-material.ts';
import { SERVICE_DEFAULTS, type ServiceConfig } from '../../../src/service/config.ts';
import { serverOptions } from '../../../src/service/grpc-server.ts';
import { type ConnectionRefusal, NO_METERS } from '../../../src/service/meters.ts';
import { connect as connectClient, until } from '../../harness/service-client.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

let cluster: FakeCluster;
let started: FakeCluster | undefined;
let refused: ConnectionRefusal[];
let lines: { source?: string; reason?: string; text: string }[];
const sockets: (Socket | ClientHttp2Session)[] = [];

async function start(config: Partial<ServiceConfig> = {}): Promise<number> {
  prepare();
  started = cluster;
  await cluster.start(config);
  return cluster.node(1).port;
}

function prepare(): void {
  cluster = new FakeCluster(1, 1);
  refused = [];
  lines = [];
  cluster.metersOf = () => ({
    ...NO_METERS,
    connectionRefused: (why) => void refused.push(why),
  });
  const warn = (fields: object, text: string) => void lines.push({ ...fields, text });
  cluster.logger = { info() {}, warn, error: warn };
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await started?.stop();
  started = undefined;
});

async function opened(port: number): Promise<Socket> {
  const socket = connectTcp(port, '127.0.0.1').on('error', () => undefined);
  sockets.push(socket);
  await once(socket, 'connect');
  return socket;
}

/** Whether the other side has closed it. */
function closed(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    if (socket.closed) resolve(true);
    socket.once('close', () => resolve(true));
    socket.resume();
  });
}

async function session(port: number): Promise<ClientHttp2Session> {
  const found = connectHttp2(`http://127.0.0.1:${port}`);
  found.on('error', () => undefined);
  sockets.push(found);
  await once(found, 'remoteSettings');
  return found;
}

const quiet = { info() {}, error() {} };

const HEADERS = {
  ':method': 'POST',
  ':path': '/holdfast.v1.Log/ProduceStream',
  'content-type': 'application/grpc',
  te: 'trailers',
};

describe('options of grpc-js', () => {
  const folder = dirname(createRequire(import.meta.url).resolve('@grpc/grpc-js'));

  it('are all said that a server looks at', () => {
    const files = readdirSync(folder).filter((name) => /^server.*\.js$/.test(name));
    const sources = files.map((name) => readFileSync(join(folder, name), 'utf8')).join('');
    const looked = new Set([...sources.matchAll(/'(grpc(?:-node)?\.[a-z_]+)'/g)].map((m) => m[1]!));
    expect(looked.size).toBeGreaterThan(10);
    const said = Object.keys(serverOptions(SERVICE_DEFAULTS));
    // It permits them always.
    said.splice(said.indexOf('grpc.keepalive_permit_without_calls'), 1);
    expect(said.sort()).toEqual([...looked].sort());
  });

  it('are limits that DescribeLimits shows, with those of HTTP/2', async () => {
    const client = connectClient(await start());
    const answer = await client.call<{ limits: { name: string; value: string }[] }>(
      'Admin/DescribeLimits',
      {},
    );
    client.close();
    const shown = new Map(answer.limits.map(({ name, value }) => [name, Number(value)]));
    const names = {
      'grpc.max_receive_message_length': 'maxRequestBytes',
      'grpc.max_concurrent_streams': 'maxConcurrentStreams',
      'grpc.keepalive_time_ms': 'keepaliveTimeMs',
      'grpc.keepalive_timeout_ms': 'keepaliveTimeoutMs',
      'grpc.max_connection_idle_ms': 'maxConnectionIdleMs',
      'grpc-node.max_session_memory': 'maxSessionMemoryMb',
    } as const;
    const options = serverOptions(SERVICE_DEFAULTS);
    for (const [option, name] of Object.entries(names)) {
      expect(shown.get(name), name).toBe(options[option]);
    }
    const others = ['maxHeaderListBytes', 'maxHeaderPairs', 'maxSettingsEntries'];
    others.push('maxOutstandingPings', 'maxResetsAtOnce', 'maxResetsPerSecond');
    others.push('maxInvalidFrames', 'maxRejectedStreams', 'maxConnections');
    for (const name of [...others, 'maxConnectionsPerAddress']) {
      expect(shown.get(name), name).toBeGreaterThan(0);
    }
  });
});

describe('one connection', () => {
  it('hears what it may do', async () => {
    const { remoteSettings } = await session(await start());
    expect(remoteSettings).toMatchObject({
      maxConcurrentStreams: SERVICE_DEFAULTS.maxConcurrentStreams,
      maxHeaderListSize: 16_384,
    });
  });

  it('is not let in with too much metadata', async () => {
    const found = await session(await start());
    const outcome = async (headers: Record<string, string>) => {
      const stream = found.request({ ...HEADERS, ...headers });
      const answered = once(stream, 'response').then(() => 'answered');
      const failed = once(stream, 'error').then(() => 'refused');
      stream.on('error', () => undefined);
      stream.on('close', () => undefined);
      stream.end();
      return Promise.race([answered.catch(() => 'refused'), failed]);
    };
    expect(await outcome({ note: 'x'.repeat(10_000) })).toBe('answered');
    expect(await outcome({ note: 'x'.repeat(17_000) })).toBe('refused');
  });

  it('is closed when it opens and cancels calls without end', async () => {
    const found = await session(await start());
    let opened = 0;
    for (; opened < 9_000 && !found.destroyed; opened += 1) {
      const stream = found.request(HEADERS);
      stream.on('error', () => undefined);
      stream.close(constants.NGHTTP2_CANCEL);
      if (opened % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => found.destroyed, 'the end of the connection');
    expect(opened).toBeGreaterThan(900);
    expect(opened).toBeLessThan(9_000);
  });
});

describe('connections', () => {
  it('of one address are bounded; who leaves makes room', async () => {
    const port = await start({ maxConnectionsPerAddress: 2 });
    const first = await opened(port);
    await opened(port);
    expect(await closed(await opened(port))).toBe(true);
    expect(refused).toEqual(['maxConnectionsPerAddress']);
    const text = 'security: a connection was refused';
    const source = expect.stringMatching(/^127\.0\.0\.1:\d+$/);
    expect(lines).toEqual([{ source, reason: 'maxConnectionsPerAddress', text }]);
    first.destroy();
    await until(() => first.closed);
    const client = connectClient(port);
    await client.call('Admin/DescribeLimits', {});
    client.close();
  });

  it('of one node are bounded', async () => {
    const port = await start({ maxConnections: 1 });
    await opened(port);
    expect(await closed(await opened(port))).toBe(true);
    expect(refused).toEqual(['maxConnections']);
  });

  it('that TLS refuses are counted and logged, without what they sent', async () => {
    prepare();
    const directory = temporaryDirectory();
    const nowMs = Date.now();
    await newAuthority(directory, { days: 2, nowMs });
    const names = { node: 1, clusterId: 'test', hosts: [] };
    await newNodeCertificate(directory, { ...names, days: 1, nowMs });
    const paths = { ...pathsOf(directory, 'node-1'), ca: pathsOf(directory, 'ca').cert };
    const material = await WatchedMaterial.open('tls', paths, quiet, Date.now);
    started = cluster;
    await cluster.node(1).start({}, new TlsServerCredentials(material));
    const { port } = cluster.node(1);
    const plain = await opened(port);
    plain.write('GET /?token=canary HTTP/1.1\r\n\r\n');
    expect(await closed(plain)).toBe(true);
    const bare = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
    bare.on('error', () => undefined);
    sockets.push(bare);
    expect(await closed(bare)).toBe(true);
    await until(() => refused.length === 2, 'two refusals');
    expect(refused).toEqual(['tls', 'tls']);
    expect(lines.map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/^ERR_SSL_/),
      expect.stringMatching(/^ERR_SSL_/),
    ]);
    expect(JSON.stringify(lines)).not.toContain('canary');
  });
});
