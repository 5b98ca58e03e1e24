import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { freeBasePort, holdfast } from './cluster-process.ts';
import { failure, started } from './commands.ts';

const TIMEOUT_MS = 120_000;

describe('up --tls --auth', () => {
  it('lets in whom rules allow, cuts off whom they allow no more, and logs no secret', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const data = join(temporaryDirectory(), 'data');
    const base = await freeBasePort(3);
    const args = ['up', '--tls', '--auth', '--data', data, '--base-port', `${base}`];
    const lines = await started([...args, '--set', 'logLevel=debug'], /^ready$/);
    const auth = join(data, 'auth');
    const key = join(auth, 'tokens.key');
    expect(lines.join('\n')).toContain(`export HOLDFAST_TOKEN=$(cat ${join(auth, 'admin.token')})`);
    for (const file of [key, join(auth, 'admin.token')]) {
      expect(statSync(file).mode & 0o777, file).toBe(0o600);
    }
    const clusterId = /cluster (\w+), data/.exec(lines[0]!)![1]!;
    const ca = ['--ca', join(data, 'tls', 'ca.crt')];
    const at = (node: number) => ['--server', `127.0.0.1:${base + node}`, ...ca];
    const root = ['--token-file', join(auth, 'admin.token')];
    const issued = await holdfast(
      ...['token', 'issue', '--key', key, '--cluster', clusterId, '--principal', 'app'],
    );
    const appToken = join(data, 'app.token');
    writeFileSync(appToken, issued);
    const app = ['--token-file', appToken];

    expect(await failure('topic', 'list', ...at(1))).toMatch(/this cluster asks who calls/);
    await holdfast('topic', 'create', 'orders', ...at(1), ...root);
    const line = join(data, 'line');
    writeFileSync(line, 'one\n');
    const produce = ['produce', 'orders', '--file', line];
    const denied = await failure(...produce, ...at(2), ...app);
    expect(denied).toMatch(/PERMISSION_DENIED: "app" needs .* on topic "orders"/);
    const grant = ['acl', 'grant', 'app', 'produce,fetch', '--topic', 'ord*'];
    await holdfast(...grant, ...at(3), ...root);
    // Each node takes it, whoever leads; what was granted elsewhere reaches it at once.
    for (const node of [1, 2, 3]) await holdfast(...produce, ...at(node), ...app);
    const read = await holdfast('consume', 'orders', '--from', 'earliest', ...at(1), ...app);
    expect(read).toBe('one\none\none\n');

    const tls = { ca: readFileSync(join(data, 'tls', 'ca.crt')) };
    await using client = connect({
      ...{ servers: [`localhost:${base + 1}`, `localhost:${base + 2}`], tls, token: issued },
    });
    await using consumer = client.consumer({ topic: 'orders', from: 'earliest' });
    const reading = (async () => {
      for await (const { body } of consumer) expect(Buffer.from(body).toString()).toBe('one');
    })();
    const cut = expect(reading).rejects.toMatchObject({ reason: 'TOKEN_REVOKED' });
    const beganMs = performance.now();
    await holdfast('token', 'revoke', '--principal', 'app', ...at(3), ...root);
    await cut;
    expect(performance.now() - beganMs).toBeLessThan(60_000);
    expect(await failure('topic', 'list', ...at(2), ...app)).toMatch(/the token was revoked/);

    const logs = [1, 2, 3].map((node) =>
      readFileSync(join(data, `node-${node}`, 'node.log'), 'utf8'),
    );
    expect(logs.join('')).toContain('"principal":"app"');
    const keyText = readFileSync(key, 'utf8').split('\n')[1]!;
    const tokens = [issued, readFileSync(join(auth, 'admin.token'), 'utf8')];
    const secrets = [keyText, ...tokens.flatMap((token) => token.trim().split('.').slice(1))];
    for (const secret of secrets) {
      expect(logs.filter((log) => log.includes(secret.slice(0, 24)))).toEqual([]);
    }
  });
});

describe('client certificates', () => {
  it('say who calls where they name somebody of this cluster', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const directory = temporaryDirectory();
    const certs = join(directory, 'certs');
    const dir = ['--dir', certs];
    const base = await freeBasePort(1);
    const config = join(directory, 'node.yaml');
    const listen = `listen: { grpc: "127.0.0.1:${base + 1}", peer: "127.0.0.1:${base + 101}" }`;
    const least = `node: 1\ndata: ${join(directory, 'data')}\n${listen}\nmetrics: false\n`;
    writeFileSync(config, least);
    const born = await holdfast('cluster', 'init', '--config', config);
    const cluster = ['--cluster', /^cluster (\S+) of/.exec(born)![1]!];
    await holdfast('cert', 'ca', ...dir);
    const node = await holdfast('cert', 'node', '1', ...cluster, ...dir);
    const section = node.split('In its configuration:\n')[1]!;
    const auth = 'auth: { clientCertificates: true, admins: [alice] }\n';
    writeFileSync(config, `${least}${section}  clientCa: ${certs}/ca.crt\n${auth}`);
    await holdfast('cert', 'client', 'alice', ...cluster, ...dir);
    await holdfast('cert', 'client', 'bob', ...cluster, ...dir);
    await holdfast('cert', 'client', 'nobody', ...dir);
    await holdfast('cert', 'client', 'stray', '--cluster', 'elsewhere', ...dir);
    expect(readdirSync(certs)).toHaveLength(12);

    await started(['serve', '--config', config], /"serving"/);
    const server = ['--server', `localhost:${base + 1}`, '--ca', `${certs}/ca.crt`];
    const as = (name: string) => [
      ...server,
      ...['--cert', join(certs, `${name}.crt`), '--cert-key', join(certs, `${name}.key`)],
    ];
    await holdfast('topic', 'create', 'orders', ...as('alice'));
    expect(await failure('topic', 'create', 'more', ...as('bob'))).toMatch(/"bob" needs admin/);
    await holdfast('acl', 'grant', 'bob', 'fetch', '--topic', 'orders', ...as('alice'));
    expect(await holdfast('topic', 'list', ...as('bob'))).toContain('orders');
    for (const name of ['nobody', 'stray', 'node-1']) {
      expect(await failure('topic', 'list', ...as(name)), name).toMatch(/asks who calls/);
    }
  });
});
