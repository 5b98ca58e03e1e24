import { describe, expect, it } from 'vitest';
import { formatAddress, isLoopback, parseAddress } from '../../src/address.ts';

describe('host:port', () => {
  it.each(['127.0.0.1:1', 'broker-2.example:65535', '[::1]:7401', 'localhost:80'])('%s', (text) => {
    expect(formatAddress(parseAddress(text)!)).toBe(text);
  });

  it.each(['', ':1', 'a', 'a:', 'a:0', 'a:65536', 'a:1x', '::1:7401', 'a b:1', '[a]:1', 'a:-1'])(
    'refuses %j',
    (text) => {
      expect(parseAddress(text)).toBeUndefined();
    },
  );

  it.each([
    ['127.0.0.1', true],
    ['127.255.0.9', true],
    ['localhost', true],
    ['::1', true],
    ['0.0.0.0', false],
    ['128.0.0.1', false],
    ['127.0.0.1.example', false],
  ])('%s is this machine: %s', (host, expected) => {
    expect(isLoopback(host)).toBe(expected);
  });
});
