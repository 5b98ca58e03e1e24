/** Clients that say who they are, against services that ask. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  connect,
  type Holdfast,
  HoldfastError,
  type TokenSource,
} from '../../../src/client/index.ts';
import { FakeCluster } from '../../harness/service-cluster.ts';
import { ADMIN, TestIssuer } from '../../harness/tokens.ts';

let cluster: FakeCluster;
let issuer: TestIssuer;
let open: Holdfast[];

beforeEach(async () => {
  cluster = new FakeCluster(3, 3);
  issuer = new TestIssuer();
  cluster.auth = issuer.auth;
  open = [];
  await cluster.start();
  cluster.createTopic('orders', 3);
});
afterEach(async () => {
  await Promise.all(open.map((client) => client.close()));
  await cluster.stop();
});

function client(token?: TokenSource): Holdfast {
  const servers = cluster.nodes.map(({ port }) => `127.0.0.1:${port}`);
  const made = connect({ servers, token });
  open.push(made);
  return made;
}

async function reasonOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => new Error('was taken'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof HoldfastError)) throw error;
  expect(error.retryable).toBe(false);
  return error.reason;
}

describe('a token', () => {
  it('goes before every call, as a text or from a function', async () => {
    expect(await reasonOf(client().admin.listTopics())).toBe('CREDENTIALS_MISSING');
    const token = await issuer.token(ADMIN);
    for (const source of [token, () => token, () => issuer.token(ADMIN), `${token}\n`]) {
      const one = client(source);
      expect(await one.admin.listTopics()).toHaveLength(1);
      await one.producer({ topic: 'orders' }).send({ body: 'x' });
    }
  });

  it('that cannot be had is an error of the call', async () => {
    for (const source of [
      () => Promise.reject(new Error('the vault is closed')),
      () => 'no token\nat all',
    ]) {
      const call = client(source).admin.listTopics();
      await expect(call).rejects.toThrow(/no token for this call: .*(vault is closed|no token)/);
      expect(await reasonOf(client(source).admin.listTopics())).toBe('CREDENTIALS_MISSING');
    }
  });

  it('leaves this machine over TLS alone', () => {
    const token = 'secret-token';
    for (const server of ['example.com:7401', '10.0.0.1:7401', '[2001:db8::1]:7401']) {
      const to = () => connect({ servers: ['127.0.0.1:1', server], token });
      expect(to).toThrow(/everybody could read it; use TLS/);
      expect(to).not.toThrow(/secret-token/);
    }
    open.push(connect({ servers: ['127.0.0.1:1', 'localhost:1', '[::1]:1'], token }));
    open.push(connect({ servers: 'example.com:7401', token, tls: {} }));
  });

  it('that expires is followed by the next one, also on streams', async () => {
    let issued = 0;
    /** Valid for about a second from now on. */
    const brief = () => {
      issued += 1;
      return issuer.token(ADMIN, { nowMs: Date.now() - 39_000, lifetimeMs: 10_000 });
    };
    const one = client(brief);
    const producer = one.producer({ topic: 'orders' });
    const consumer = one.consumer({ topic: 'orders', from: 'earliest' });
    const read: string[] = [];
    /** Once all are. */
    let sent: number | undefined;
    const reading = (async () => {
      for await (const { body } of consumer) {
        read.push(Buffer.from(body).toString());
        if (sent !== undefined && read.length === sent) return;
      }
    })();
    let count = 0;
    for (; issued < 5; count += 1) await producer.send({ body: `${count}` });
    sent = count + 1;
    await producer.send({ body: `${count}` });
    await reading;
    expect(read.sort((a, b) => Number(a) - Number(b))).toEqual([...Array(sent).keys()].map(String));
    const late = client(await brief());
    const refusal = () =>
      late.admin.listTopics().then(
        () => '',
        ({ reason }) => reason,
      );
    await expect.poll(refusal, { timeout: 10_000 }).toBe('TOKEN_EXPIRED');
  });
});

describe('access', () => {
  it('is granted, listed and revoked', async () => {
    const root = client(await issuer.token(ADMIN));
    const rule = {
      principal: 'app',
      kind: 'topic',
      ...{ name: 'ord', prefix: true },
      verbs: ['produce', 'fetch'],
    } as const;
    await root.access.grant(rule);
    const everybody = { principal: '*', kind: 'cluster', name: '', prefix: false } as const;
    await root.access.grant({ ...everybody, verbs: ['admin'] });
    expect(await root.access.list()).toEqual([{ ...everybody, verbs: ['admin'] }, rule]);
    await root.access.revoke({ ...everybody, verbs: ['admin'] });
    const app = client(await issuer.token('app'));
    expect(await app.admin.listTopics()).toHaveLength(1);
    expect(await reasonOf(app.access.list())).toBe('PERMISSION_DENIED');
    await root.access.revokeTokens({ principal: 'app' });
    expect(await reasonOf(app.admin.listTopics())).toBe('TOKEN_REVOKED');
  });
});
