import { type AddressInfo, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { assertCanListen } from '../../../src/cluster/ports.ts';

it('a taken port is named, with what to do; a free one is fine and stays free', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const at = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
  await expect(assertCanListen(at, 'do this')).rejects.toThrow(
    `port ${at.port} on 127.0.0.1 is taken by another process; do this`,
  );
  await new Promise((resolve) => server.close(resolve));
  await assertCanListen(at, 'do this');
  await assertCanListen(at, 'do this');
});

it('an address of another machine is an error with its reason', async () => {
  const elsewhere = { host: '192.0.2.1', port: 9 };
  await expect(assertCanListen(elsewhere, 'change listen')).rejects.toThrow(
    /cannot listen on 192\.0\.2\.1:9: .*; change listen/,
  );
});
