/** Encryption end to end: `up --tls`, and machines with certificates of `holdfast cert`. */
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { freeBasePort, HOLDFAST, holdfast } from './cluster-process.ts';
import { failure, started } from './commands.ts';

const TIMEOUT_MS = 120_000;
const run = promisify(execFile);

/** Whether bytes that are not TLS get any answer but the end. */
async function answersPlainText(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1').on('error', () => undefined);
  socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0');
  const bytes: Buffer[] = [];
  socket.on('data', (chunk) => bytes.push(chunk));
  await new Promise((resolve) => socket.once('close', resolve));
  // An alert of TLS is no answer.
  return bytes.length > 0 && bytes[0]![0] !== 0x15;
}

async function serialAt(port: number): Promise<string> {
  const socket = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  const { serialNumber } = socket.getPeerCertificate();
  socket.destroy();
  return serialNumber;
}

describe('up --tls', () => {
  it('is encrypted on every port, and used with the CA alone', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const data = join(temporaryDirectory(), 'data');
    const base = await freeBasePort(3);
    const args = ['up', '--tls', '--data', data, '--base-port', `${base}`];
    const lines = await started(args, /^ready$/);
    const ca = join(data, 'tls', 'ca.crt');
    expect(lines).toContain(`  export HOLDFAST_CA=${ca}`);
    const server = ['--server', `localhost:${base + 1}`];
    await holdfast('topic', 'create', 'orders', ...server, '--ca', ca);
    const file = join(data, 'line');
    writeFileSync(file, 'one\n');
    // Node 2 and 3 answer what they do not lead: forwarding goes over the peer ports.
    const other = ['--server', `127.0.0.1:${base + 3},127.0.0.1:${base + 2}`, '--ca', ca];
    await holdfast('produce', 'orders', '--file', file, ...other);
    const environment = { ...process.env, HOLDFAST_CA: ca };
    const consume = ['consume', 'orders', '--from', 'earliest', ...server];
    const { stdout } = await run(process.execPath, [HOLDFAST, ...consume], { env: environment });
    expect(stdout).toBe('one\n');
    expect(await failure('topic', 'list', ...server)).toMatch(/if it takes TLS, give --ca/);
    for (const port of [1, 2, 3, 101, 102, 103].map((at) => base + at)) {
      expect(await answersPlainText(port), `${port}`).toBe(false);
    }
    for (const name of ['ca', 'node-1', 'node-2', 'node-3']) {
      expect(statSync(join(data, 'tls', `${name}.key`)).mode & 0o777, name).toBe(0o600);
    }
  });
});

describe('holdfast cert', () => {
  it('makes what serve and clients take', { timeout: TIMEOUT_MS }, async () => {
    const directory = temporaryDirectory();
    const dir = ['--dir', join(directory, 'certs')];
    const base = await freeBasePort(1);
    const config = join(directory, 'node.yaml');
    const data = join(directory, 'data');
    const listen = `listen: { grpc: "127.0.0.1:${base + 1}", peer: "127.0.0.1:${base + 101}" }`;
    writeFileSync(config, `node: 1\ndata: ${data}\n${listen}\n`);
    const born = await holdfast('cluster', 'init', '--config', config);
    const cluster = /^cluster (\S+) of/.exec(born)![1]!;

    expect(await failure('cert', 'node', '1', '--cluster', cluster, ...dir)).toMatch(/cert ca/);
    await holdfast('cert', 'ca', ...dir);
    expect(await failure('cert', 'ca', ...dir)).toMatch(/has a CA already/);
    const node = ['cert', 'node', '1', '--cluster', cluster, '--host', 'broker.example', ...dir];
    const section = (await holdfast(...node)).split('In its configuration:\n')[1]!;
    writeFileSync(
      config,
      `${readFileSync(config, 'utf8')}${section}  clientCa: ${dir[1]}/ca.crt\n`,
    );
    const made = new X509Certificate(readFileSync(`${dir[1]}/node-1.crt`));
    expect(made.checkHost('broker.example')).toBe('broker.example');
    expect(made.subjectAltName).toContain(`URI:holdfast://${cluster}/node/1,`);
    await holdfast('cert', 'client', 'alice', ...dir);
    expect(await failure('cert', 'client', 'node-1', ...dir)).toMatch(/neither ca nor node-N/);

    await started(['serve', '--config', config], /"serving"/);
    const friend = ['--cert', `${dir[1]}/alice.crt`, '--cert-key', `${dir[1]}/alice.key`];
    const server = ['--server', `localhost:${base + 1}`, '--ca', `${dir[1]}/ca.crt`];
    expect(await holdfast('topic', 'list', '--json', ...server, ...friend)).toBe('[]\n');
    expect(await failure('topic', 'list', ...server)).toMatch(/asks for a certificate/);
    expect(await failure('topic', 'list', ...server, '--cert', 'nowhere')).toMatch(/cannot read/);

    await holdfast(...node);
    const { serialNumber } = new X509Certificate(readFileSync(`${dir[1]}/node-1.crt`));
    expect(serialNumber).not.toBe(made.serialNumber);
    for (const port of [base + 1, base + 101]) {
      while ((await serialAt(port)) !== serialNumber) await setTimeout(100);
    }
  });

  it('and serve refuses a key that others can read, and a stranger', {
    timeout: TIMEOUT_MS,
  }, async () => {
    const directory = temporaryDirectory();
    const dir = ['--dir', join(directory, 'certs')];
    const config = join(directory, 'node.yaml');
    const data = join(directory, 'data');
    writeFileSync(config, `node: 1\ndata: ${data}\n`);
    await holdfast('cluster', 'init', '--config', config);
    await holdfast('cert', 'ca', ...dir);
    const node = ['cert', 'node', '1', '--cluster', 'elsewhere', ...dir];
    const section = (await holdfast(...node)).split('In its configuration:\n')[1]!;
    const base = await freeBasePort(1);
    const listen = `listen: { grpc: "127.0.0.1:${base + 1}", peer: "127.0.0.1:${base + 101}" }`;
    writeFileSync(config, `node: 1\ndata: ${data}\n${listen}\n${section}`);
    const serve = ['serve', '--config', config];
    expect(await failure(...serve)).toMatch(/does not name holdfast:.*\/node\/1 .*cert node/);
    const key = `${dir[1]}/node-1.key`;
    writeFileSync(`${key}.open`, readFileSync(key), { mode: 0o644 });
    expect(await failure(...serve, '--set', `tls.key=${key}.open`)).toMatch(/chmod 600/);
    expect(existsSync(join(data, 'log'))).toBe(false);
  });
});
