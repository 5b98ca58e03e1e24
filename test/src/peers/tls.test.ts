/** TLS between nodes: real sockets and certificates, each wrong in one way. */
import { once } from 'node:events';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import type { PeerNetworkOptions } from '../../../src/peers/network.ts';
import { TlsTransport } from '../../../src/peers/tls-transport.ts';
import type { HostPort } from '../../../src/peers/transport.ts';
import { readTlsMaterial, type TlsFiles } from '../../../src/security/tls-material.ts';
import {
  authority,
  type CertificateOptions,
  certificateFiles,
  materialOf,
  nodeFiles,
  type TestAuthority,
} from '../../harness/certificates.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';
import {
  callTo,
  closeAll,
  createNode,
  identityOf,
  LOOPBACK,
  type TestNode,
  upWith,
} from './support.ts';

const running: TestNode[] = [];

afterEach(async () => {
  await closeAll(running.splice(0));
});

/** Two nodes that look for each other; `undefined` = one without TLS. */
async function pair(
  ...transports: readonly (TlsTransport | undefined)[]
): Promise<readonly [TestNode, TestNode]> {
  const addresses = new Map<number, HostPort>(
    [1, 2].map((id) => [id, { host: LOOPBACK, port: 1 }]),
  );
  for (const [at, transport] of transports.entries()) {
    const change: Partial<PeerNetworkOptions> = transport === undefined ? {} : { transport };
    const node = createNode(identityOf(at + 1), addresses, change);
    running.push(node);
    await node.network.start();
    addresses.set(at + 1, node.network.address());
  }
  return running.slice(-2) as [TestNode, TestNode];
}

async function transport(files: TlsFiles, inDays = 0): Promise<TlsTransport> {
  return new TlsTransport(await materialOf(files, inDays));
}

/** Whether a call from node 1 is answered by node 2. */
async function answers([one, two]: readonly [TestNode, TestNode]): Promise<void> {
  const call = callTo(one, 2, Buffer.from('?'));
  (await two.calls.next()).answer({ status: 'ok', body: Buffer.from('!') });
  expect(await call.outcome).toEqual({ status: 'ok', body: Buffer.from('!') });
}

/** Waits for a line in the log, which must come. */
async function logged(node: TestNode, pattern: RegExp): Promise<string> {
  for (;;) {
    const line = node.log.find((each) => pattern.test(each));
    if (line !== undefined) return line;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function neverUp(nodes: readonly TestNode[]): void {
  expect(nodes.flatMap(({ happenings }) => happenings.all)).toEqual([]);
}

async function greetedBy(address: HostPort, files: TlsFiles): Promise<TLSSocket> {
  const { cert, key } = await readTlsMaterial(files, Date.now());
  const socket = connectTls({ ...address, cert, key, rejectUnauthorized: false });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return socket;
}

describe('with certificates in order', () => {
  it('nodes speak TLS, in version 1.2 at least', async () => {
    const ca = await authority(temporaryDirectory());
    const files = [await nodeFiles(ca, 1), await nodeFiles(ca, 2)];
    const nodes = await pair(...(await Promise.all(files.map((each) => transport(each)))));
    for (const node of nodes) await upWith(node, 1);
    await answers(nodes);
    const socket = await greetedBy(nodes[0].network.address(), files[1]!);
    expect(['TLSv1.2', 'TLSv1.3']).toContain(socket.getProtocol());
    socket.destroy();
    const old = connectTls({
      ...{ ...nodes[0].network.address(), rejectUnauthorized: false },
      ...{ maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' },
    });
    const [error] = (await once(old, 'error')) as [Error];
    expect(error.message).toMatch(/protocol version|unsupported protocol/);
  });

  it('new ones are used while old connections live', async () => {
    const directory = temporaryDirectory();
    const [before, after] = [await authority(directory, 'old'), await authority(directory, 'new')];
    const materials = [1, 2].map(async (node) => materialOf(await nodeFiles(before, node)));
    const [one, two] = await Promise.all(materials);
    const nodes = await pair(new TlsTransport(one!), new TlsTransport(two!));
    for (const node of nodes) await upWith(node, 1);
    const address = nodes[0].network.address();
    const oldNames = (await greetedBy(address, await nodeFiles(before, 2))).getPeerCertificate();
    expect(oldNames.issuer.CN).toBe('old');

    // The same paths, as it is when a directory of certificates is replaced.
    await replaceAuthority(before, after);
    for (const node of [1, 2]) await nodeFiles({ ...after, ca: before.ca }, node);
    for (const material of [one!, two!]) await material.poll();
    await answers(nodes);
    expect(nodes.flatMap(({ happenings }) => happenings.all.filter(isReset))).toEqual([]);
    const socket = await greetedBy(address, await nodeFiles({ ...after, ca: before.ca }, 2));
    expect(socket.getPeerCertificate().issuer.CN).toBe('new');
    socket.destroy();
  });
});

function isReset({ kind }: { readonly kind: string }): boolean {
  return kind === 'reset';
}

async function replaceAuthority(old: TestAuthority, by: TestAuthority): Promise<void> {
  const { writeFileSync } = await import('node:fs');
  writeFileSync(old.ca, by.cert);
}

describe('refused, on both sides, counted and logged', () => {
  it.each([
    ['expired', { inDays: -30 }, /badCertificate: its certificate expired on/],
    ['not yet valid', { inDays: 30 }, /badCertificate: its certificate is not valid before/],
    ['of another node', { uris: ['holdfast://c1/node/3'] }, /wrongCertificate: node 2 shows .*3/],
    ['of another cluster', { uris: ['holdfast://c2/node/2'] }, /wrongCertificate: .*c2\/node\/2/],
    ['of a client', { uris: [] }, /wrongCertificate: node 2 shows a certificate of no node/],
  ] as const)('a certificate that is %s', async (_, change: CertificateOptions, why) => {
    const ca = await authority(temporaryDirectory());
    const good = await transport(await nodeFiles(ca, 1));
    const nodes = await pair(good, await transport(await nodeFiles(ca, 2, change), change.inDays));
    // Node 1 as the one that is dialled, and as the one that dials.
    expect(await logged(nodes[0], /refused a connection from 127/)).toMatch(why);
    expect(await logged(nodes[0], /who answers at the address of node 2/)).toMatch(why);
    expect(await logged(nodes[1], /node 1 refuses this node/)).toMatch(why);
    neverUp(nodes);
    const { refusals } = nodes[0].network.stats();
    expect(Object.keys(refusals)).toEqual([why.source.split(':')[0]]);
  });

  it('a certificate of another CA', async () => {
    const directory = temporaryDirectory();
    const [ours, theirs] = [await authority(directory), await authority(directory, 'theirs')];
    const stranger = { ...(await nodeFiles(theirs, 2)), ca: ours.ca };
    const nodes = await pair(await transport(await nodeFiles(ours, 1)), await transport(stranger));
    const why = /badCertificate: its certificate is not one of the CA that this node trusts/;
    expect(await logged(nodes[0], /refused a connection from 127/)).toMatch(why);
    expect(await logged(nodes[0], /who answers at the address of node 2/)).toMatch(why);
    neverUp(nodes);
  });

  it('a connection without a certificate', async () => {
    const ca = await authority(temporaryDirectory());
    const [one] = await pair(await transport(await nodeFiles(ca, 1)));
    const to = one!.network.address();
    const socket = connectTls({ ...to, rejectUnauthorized: false }).resume();
    await once(socket, 'close');
    expect(await logged(one!, /refused/)).toMatch(/badCertificate: it shows no certificate/);
  });

  it('words without encryption, from whoever says them', async () => {
    const ca = await authority(temporaryDirectory());
    const nodes = await pair(await transport(await nodeFiles(ca, 1)), undefined);
    expect(await logged(nodes[0], /refused a connection from 127/)).toMatch(
      /noEncryption: it speaks without encryption/,
    );
    expect(await logged(nodes[0], /who answers at the address of node 2/)).toMatch(
      /noEncryption: no agreement on encryption/,
    );
    expect(await logged(nodes[1], /refused a connection from 127/)).toMatch(
      /speaks TLS.*tls\.peer/,
    );
    neverUp(nodes);
  });
});

describe('the listener', () => {
  it('bounds those that do not shake hands, and does not wait for them', async () => {
    const ca = await authority(temporaryDirectory());
    const limits = { maxPendingHandshakes: 2, handshakeTimeoutMs: 60_000 };
    const good = await transport(await nodeFiles(ca, 1));
    const node = createNode(identityOf(1), new Map(), { transport: good, limits });
    await node.network.start();
    const { host, port } = node.network.address();
    const silent = [1, 2, 3].map(() => connectPlain({ host, port }).on('error', () => undefined));
    await once(silent[2]!, 'close');
    expect(await logged(node, /refused/)).toMatch(/tooManyPending: 2 others/);
    await node.network.close();
  });

  it('counts who is silent until the time is over, and nobody who leaves', async () => {
    const ca = await authority(temporaryDirectory());
    const limits = { handshakeTimeoutMs: 200 };
    const good = await transport(await nodeFiles(ca, 1));
    const node = createNode(identityOf(1), new Map(), { transport: good, limits });
    running.push(node);
    await node.network.start();
    const { host, port } = node.network.address();
    const [probe, silent] = [connectPlain({ host, port }), connectPlain({ host, port })];
    probe.once('connect', () => probe.end());
    await Promise.all([once(probe, 'close'), once(silent.resume(), 'close')]);
    expect(await logged(node, /refused a connection from 127/)).toMatch(
      /timeout: it did not agree/,
    );
    expect(node.network.stats().refusals).toEqual({ timeout: 1 });
  });
});

it('a quoted name is not taken for several', async () => {
  const ca = await authority(temporaryDirectory());
  const uris = ['holdfast://x, URI:holdfast://c1/node/2, DNS:x'];
  const forged = await certificateFiles(ca, 'forged', { uris });
  const nodes = await pair(await transport(await nodeFiles(ca, 1)), await transport(forged));
  expect(await logged(nodes[0], /refused a connection from 127/)).toMatch(/wrongCertificate/);
  neverUp(nodes);
});
