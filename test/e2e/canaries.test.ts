/**
 * Texts that must stay where they belong: what messages hold, tokens and keys are looked for in
 * everything that a closed cluster tells of itself, after they were sent by every way that fails.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect as connectTls } from 'node:tls';
import { expect, it, onTestFinished } from 'vitest';
import { bytesField, textField } from '../../bench/ceiling/wire.ts';
import { RawClient } from '../../bench/raw-calls.ts';
import { connect, type Holdfast } from '../../src/client/index.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { freeBasePort, HOLDFAST, holdfast } from './cluster-process.ts';

const TIMEOUT_MS = 120_000;

/** Each says where it was put. */
const canary = (where: string): string => `canary-${where}-7f3a9c`;
const CANARY = /canary-[\w-]+-7f3a9c/g;
const MESSAGE = {
  body: Buffer.from(canary('body')),
  key: canary('key'),
  tag: canary('tag'),
  properties: { [canary('property-name')]: canary('property') },
};
/** A line that would pass for one of ours, if names came into the log as they are. */
const FORGED = 'x\n{"level":50,"msg":"forged"}\n';

interface Closed {
  readonly servers: readonly string[];
  readonly httpPorts: readonly number[];
  readonly ca: string;
  readonly data: string;
  readonly clusterId: string;
}

/** `up --tls --auth`, which asks a webhook that answers what it should not. */
async function started(webhook: string): Promise<Closed> {
  const data = join(temporaryDirectory(), 'data');
  const base = await freeBasePort(3);
  const args = ['up', '--tls', '--auth', '--data', data, '--base-port', `${base}`];
  args.push('--set', 'logLevel=debug', '--set', 'transactions.firstCheckAfterMs=1000');
  const child = spawn(process.execPath, [HOLDFAST, ...args, '--webhook', `payments=${webhook}`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = new Promise((resolve) => child.once('exit', resolve));
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await exit;
  });
  let clusterId = '';
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      clusterId ||= /cluster (\w+), data/.exec(line)?.[1] ?? '';
      if (line === 'ready') resolve();
    });
    void exit.then((code) => reject(new Error(`up ended with ${code}`)));
  });
  const nodes = [1, 2, 3];
  const ca = readFileSync(join(data, 'tls', 'ca.crt'), 'utf8');
  const servers = nodes.map((node) => `localhost:${base + node}`);
  return { servers, httpPorts: nodes.map((node) => base + 200 + node), ca, data, clusterId };
}

/** Answers how often it was asked. */
async function talkativeWebhook(): Promise<{ url: string; asked: () => number }> {
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    request.resume();
    const text = `${canary('webhook')}${FORGED}`;
    response.writeHead(500, { note: canary('webhook-header') }).end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}/${canary('webhook-path')}`, asked: () => asked };
}

async function tokenOf({ clusterId, data }: Closed, principal: string): Promise<string> {
  const key = join(data, 'auth', 'tokens.key');
  const whose = ['--cluster', clusterId, '--principal', principal];
  return (await holdfast('token', 'issue', '--key', key, ...whose)).trim();
}

/** Everything that goes wrong, by somebody who may produce. Answers in which words. */
async function errorsOf(cluster: Closed, token: string): Promise<string[]> {
  const { ca, servers } = cluster;
  const raw = new RawClient(servers[0]!, { ca, token });
  const asked = (method: string, request: Buffer) =>
    raw.call(method, request).then(
      () => 'ok',
      (error: Error) => error.message,
    );
  const huge = Buffer.alloc(4_100_000, canary('huge'));
  const badToken = `eyJhbGciOiJFZERTQSJ9.${canary('claims')}.${canary('signature')}`;
  const stranger = new RawClient(servers[1]!, { ca, token: badToken });
  const found = [
    await asked('Produce', Buffer.concat([textField(1, FORGED), bytesField(1000, huge)])),
    await asked('Produce', Buffer.concat([textField(1, 'orders'), bytesField(1000, huge)])),
    await asked('Produce', Buffer.from(`\xff\xff${canary('malformed')}`, 'latin1')),
    await asked('Produce', textField(1, canary('no-such-topic').replaceAll('canary', 'absent'))),
    await asked('Admin/DescribeTopic', textField(1, FORGED)),
    await asked('Groups/Describe', textField(1, FORGED)),
    await stranger.call('Fetch', textField(1, 'orders')).catch((error: Error) => error.message),
  ];
  raw.close();
  stranger.close();
  return found as string[];
}

/** Neither of them gets as far as a call. */
async function refusedConnections({ servers }: Closed): Promise<void> {
  const port = Number(servers[0]!.split(':')[1]);
  const plain = connectTcp(port, '127.0.0.1').on('error', () => undefined);
  plain.end(`GET /?token=${canary('plain')} HTTP/1.1\r\n\r\n`);
  const other = connectTls({ port, host: '127.0.0.1', ca: [], servername: 'canary.example' });
  other.on('error', () => undefined);
  await Promise.all(
    [plain, other].map((one) => new Promise((resolve) => one.once('close', resolve))),
  );
}

/** What another principal is told that may see nothing of it. */
async function toldOthers(client: Holdfast, transactionId: string): Promise<string> {
  const text = (call: Promise<unknown>): Promise<string> =>
    call.then(
      (answer) => JSON.stringify(answer),
      (error: Error) => `${error.message} ${JSON.stringify(error)}`,
    );
  const told = [
    client.fetch({ topic: 'orders', queue: 0, offset: 0 }),
    client.admin.describeTopic('orders'),
    client.admin.listTopics(),
    client.groups.list(),
    client.transactions('payments').end({ transactionId }, 'commit'),
    client.access.list(),
  ];
  return (await Promise.all(told.map(text))).join('\n');
}

it('what was sent, shown and signed with stays out of logs, metrics and answers to others', {
  timeout: TIMEOUT_MS,
}, async () => {
  const webhook = await talkativeWebhook();
  const cluster = await started(webhook.url);
  const { ca, data, httpPorts, servers } = cluster;
  const root = readFileSync(join(data, 'auth', 'admin.token'), 'utf8').trim();
  await using admin = connect({ servers, tls: { ca }, token: root });
  await admin.admin.createTopic({ name: 'orders', queueCount: 3 });
  const topic = { kind: 'topic', name: 'orders', prefix: false } as const;
  await admin.access.grant({ principal: 'app', ...topic, verbs: ['produce', 'fetch'] });
  const group = { kind: 'group', name: 'payments', prefix: false } as const;
  await admin.access.grant({ principal: 'app', ...group, verbs: ['txn'] });

  const token = await tokenOf(cluster, 'app');
  await using app = connect({ servers, tls: { ca }, token });
  await using producer = app.producer({ topic: 'orders' });
  await producer.send(MESSAGE);
  const half = await app.transactions('payments').prepare({ topic: 'orders', messages: [MESSAGE] });
  const errors = await errorsOf(cluster, token);
  expect(errors.every((error) => error !== 'ok')).toBe(true);
  // Whoever sent a message hears what is wrong with it, and not what it holds.
  expect(errors.join('').match(CANARY)).toBeNull();
  await refusedConnections(cluster);
  await using other = connect({ servers, tls: { ca }, token: await tokenOf(cluster, 'other') });
  const told = await toldOthers(other, half.transactionId);
  expect(told).toContain('PERMISSION_DENIED');
  const logs = () =>
    [1, 2, 3].map((node) => readFileSync(join(data, `node-${node}`, 'node.log'), 'utf8')).join('');
  await expect.poll(webhook.asked, { timeout: 30_000 }).toBeGreaterThan(0);
  await expect.poll(logs, { timeout: 10_000 }).toMatch(/webhook/);

  const pages = httpPorts.flatMap((port) =>
    ['metrics', 'readyz'].map(async (page) =>
      (await fetch(`http://127.0.0.1:${port}/${page}`)).text(),
    ),
  );
  const status = await holdfast(
    ...[
      'cluster',
      'status',
      '--json',
      '--server',
      servers[0]!,
      '--ca',
      join(data, 'tls', 'ca.crt'),
    ],
    ...['--token-file', join(data, 'auth', 'admin.token')],
  );
  const metrics = (await Promise.all(pages)).join('\n');
  // Each of them has what it should have, or nothing would have been looked at.
  expect(logs()).toMatch(/security: a call was refused/);
  expect(logs()).toMatch(/security: a connection was refused/);
  expect(metrics).toMatch(/holdfast_connections_refused_total\{why="tls"\} [1-9]/);
  const everything = [logs(), metrics, status, told].join('\n');
  expect(everything.match(CANARY)).toBeNull();
  for (const secret of secretsOf(cluster, [root, token])) {
    expect(everything).not.toContain(secret);
  }
  const lines = logs().split('\n');
  for (const line of lines.filter((one) => one !== '')) {
    expect(line).toMatch(/^\{.*\}$/);
    expect((JSON.parse(line) as { msg?: string }).msg).not.toBe('forged');
  }
});

/** Parts that nothing else has: of the signatures, the claims, and every private key. */
function secretsOf({ data }: Closed, tokens: readonly string[]): string[] {
  const keys = [join(data, 'auth', 'tokens.key'), join(data, 'tls', 'ca.key')];
  keys.push(...[1, 2, 3].map((node) => join(data, 'tls', `node-${node}.key`)));
  const lines = keys.map((file) => readFileSync(file, 'utf8').split('\n')[1]!.slice(-24));
  return [...lines, ...tokens.flatMap((token) => token.split('.').slice(1))].map((text) => {
    expect(text.length).toBeGreaterThan(20);
    return text.slice(-32);
  });
}
