/** TLS between clients and a node: what works, and what a client is told when it does not. */

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTls } from 'node:tls';
import { describe, expect, it, onTestFinished } from 'vitest';
import { connect, type Holdfast } from '../../../src/client/index.ts';
import type { TlsOptions } from '../../../src/client/tls.ts';
import { TlsServerCredentials } from '../../../src/security/server-credentials.ts';
import type { TlsFiles } from '../../../src/security/tls-material.ts';
import type { WatchedMaterial } from '../../../src/security/watched-material.ts';
import { authority, certificateFiles, materialOf } from '../../harness/certificates.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';
import { temporaryDirectory } from '../../harness/temporary-directory.ts';

async function nodeWith(material?: WatchedMaterial): Promise<string> {
  const cluster = new FakeCluster(1, 1);
  const node = cluster.node(1);
  await node.start({}, material && new TlsServerCredentials(material));
  onTestFinished(() => cluster.stop());
  return `127.0.0.1:${node.port}`;
}

function client(servers: string, tls?: TlsOptions): Holdfast {
  const made = connect({ servers, tls });
  onTestFinished(() => made.close());
  return made;
}

function topics(servers: string, tls?: TlsOptions): Promise<unknown> {
  return client(servers, tls).admin.listTopics();
}

const pem = (file: string) => readFileSync(file, 'utf8');
const shown = ({ cert, key }: TlsFiles) => ({ cert: pem(cert), key: readFileSync(key) });

describe('a node with a certificate', () => {
  it('is spoken to under its address and its name', async () => {
    const ca = await authority(temporaryDirectory());
    const { ca: _, ...files } = await certificateFiles(ca, 'node');
    const warnings: Error[] = [];
    const warned = (warning: Error) => void warnings.push(warning);
    process.on('warning', warned);
    onTestFinished(() => void process.off('warning', warned));
    const server = await nodeWith(await materialOf({ ...files, ca: undefined }));
    expect(await topics(server, { ca: ca.cert })).toEqual([]);
    const named = server.replace('127.0.0.1', 'localhost');
    expect(await topics(named, { ca: Buffer.from(ca.cert) })).toEqual([]);
    expect(warnings).toEqual([]);
  });

  it.each([
    ['of another name', { hosts: ['elsewhere.example'] }, /cannot reach.*IP: 127.0.0.1 is not in/],
    ['expired', { inDays: -30 }, /cannot reach.*expired/],
    ['not yet valid', { inDays: 30 }, /cannot reach.*not yet valid/],
    ['of a client only', { hosts: [] }, /cannot reach.*(?:purpose|altnames)/],
  ] as const)('is refused when that is %s', async (_, change, why) => {
    const ca = await authority(temporaryDirectory());
    const files = await certificateFiles(ca, 'node', change);
    const inDays = 'inDays' in change ? change.inDays : 0;
    const server = await nodeWith(await materialOf({ ...files, ca: undefined }, inDays));
    await expect(topics(server, { ca: ca.cert })).rejects.toThrow(why);
  });

  it('is refused when another CA signed it', async () => {
    const directory = temporaryDirectory();
    const [ours, theirs] = [await authority(directory), await authority(directory, 'theirs')];
    const files = await certificateFiles(theirs, 'node');
    const server = await nodeWith(await materialOf({ ...files, ca: undefined }));
    const why = /cannot reach.*certificate/;
    await expect(topics(server, { ca: ours.cert })).rejects.toThrow(why);
    await expect(topics(server, {})).rejects.toThrow(why);
  });

  it('says so to a client without TLS, and the other way round', async () => {
    const ca = await authority(temporaryDirectory());
    const { ca: _, ...files } = await certificateFiles(ca, 'node');
    const server = await nodeWith(await materialOf({ ...files, ca: undefined }));
    await expect(topics(server)).rejects.toThrow(/cannot reach.*--ca/);
    const plain = await nodeWith();
    await expect(topics(plain, { ca: ca.cert })).rejects.toThrow(
      /wrong version number.*it speaks no TLS/,
    );
  });

  it('takes a new one while a stream lives', async () => {
    const directory = temporaryDirectory();
    const [before, after] = [await authority(directory, 'old'), await authority(directory, 'new')];
    const { ca: _, ...files } = await certificateFiles(before, 'node');
    const material = await materialOf({ ...files, ca: undefined });
    const server = await nodeWith(material);
    const old = client(server, { ca: before.cert });
    expect(await old.admin.listTopics()).toEqual([]);
    await certificateFiles(after, 'node');
    await material.poll();
    expect(await topics(server, { ca: after.cert })).toEqual([]);
    await expect(topics(server, { ca: before.cert })).rejects.toThrow(/certificate/);
    expect(await old.admin.listTopics()).toEqual([]);
  });
});

describe('a node that asks for certificates', () => {
  it('lets in whoever shows one of its CA, and nobody else', async () => {
    const directory = temporaryDirectory();
    const [ours, theirs] = [await authority(directory), await authority(directory, 'theirs')];
    const material = await materialOf(await certificateFiles(ours, 'node'));
    const server = await nodeWith(material);
    const friend = shown(await certificateFiles(ours, 'friend', { hosts: [] }));
    const stranger = shown(await certificateFiles(theirs, 'stranger', { hosts: [] }));
    expect(await topics(server, { ca: ours.cert, ...friend })).toEqual([]);
    const refused = /cannot reach.*asks for a certificate.*--cert-key/;
    await expect(topics(server, { ca: ours.cert })).rejects.toThrow(refused);
    await expect(topics(server, { ca: ours.cert, ...stranger })).rejects.toThrow(refused);
    const late = await certificateFiles(ours, 'late', { hosts: [], inDays: -30 });
    await expect(topics(server, { ca: ours.cert, ...shown(late) })).rejects.toThrow(refused);
    await certificateFiles(ours, 'node');
    await material.poll();
    expect(await topics(server, { ca: ours.cert, ...friend })).toEqual([]);
    await expect(topics(server, { ca: ours.cert })).rejects.toThrow(refused);
  });
});

it('sessions are not resumed', async () => {
  const ca = await authority(temporaryDirectory());
  const material = await materialOf(await certificateFiles(ca, 'node'));
  const port = Number((await nodeWith(material)).split(':')[1]);
  const { cert, key } = shown(await certificateFiles(ca, 'friend', { hosts: [] }));
  for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
    let session: Buffer | undefined;
    for (const _ of [1, 2]) {
      const options = { ...{ port, ca: ca.cert, cert, key, maxVersion }, ALPNProtocols: ['h2'] };
      const socket = connectTls({ ...options, ...(session && { session }) }).resume();
      socket.on('session', (found: Buffer) => {
        session = found;
      });
      // The server speaks first; a ticket of TLS 1.3 has come by then.
      await once(socket, 'data');
      session ??= socket.getSession();
      expect(socket.isSessionReused()).toBe(false);
      socket.destroy();
    }
  }
});

describe('options', () => {
  it('that make no sense are refused at once', async () => {
    const ca = await authority(temporaryDirectory());
    const [one, two] = [await certificateFiles(ca, 'one'), await certificateFiles(ca, 'two')];
    const servers = 'localhost:1';
    expect(() => connect({ servers, tls: { cert: pem(one.cert) } })).toThrow(/go together/);
    expect(() => connect({ servers, tls: { ca: one.ca } })).toThrow(/tls\.ca must be PEM/);
    const misfit = { cert: pem(one.cert), key: pem(two.key) };
    expect(() => connect({ servers, tls: misfit })).toThrow(/key values mismatch/);
  });
});
