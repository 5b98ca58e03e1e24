import { afterEach, describe, expect, it } from 'vitest';
import { parseServers, Servers } from '../../../src/client/servers.ts';

describe('Servers', () => {
  let servers: Servers | undefined;

  afterEach(() => servers?.close());

  it('moves on at a failure and does not come back for a while', () => {
    let nowMs = 0;
    const addresses = ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'];
    servers = new Servers(
      addresses,
      () => 0,
      () => nowMs,
    );
    const seen = new Set<string>();
    for (let i = 0; i < 3; i++) {
      seen.add(servers.current().address);
      servers.failed(servers.current());
      nowMs += 10;
    }
    expect(seen.size).toBe(3);
    expect(servers.current().address).toBe(addresses[0]);
    nowMs += 1000;
    servers.failed(servers.current());
    expect(servers.current().address).toBe(addresses[1]);
  });

  it('the failure of one that is not in use changes nothing', () => {
    servers = new Servers(['127.0.0.1:1', '127.0.0.1:2'], () => 0);
    const first = servers.current();
    servers.failed(first);
    const second = servers.current();
    servers.failed(first);
    expect(servers.current()).toBe(second);
  });
});

describe('parseServers', () => {
  it('takes lists and commas', () => {
    expect(parseServers('a:1, b:2,a:1')).toEqual(['a:1', 'b:2']);
    expect(parseServers(['[::1]:7401', 'node-1.example:7402'])).toHaveLength(2);
  });

  it.each(['nohost', 'a:0', 'a:70000', ':7401', 'a:b', 'http://a:1'])('refuses %s', (text) => {
    expect(() => parseServers(text)).toThrow('HOST:PORT');
  });
});
