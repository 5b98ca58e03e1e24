import { expect, it } from 'vitest';
import { Resolver } from '../../../src/peers/resolver.ts';

function addressOf(resolver: Resolver, host: string): string {
  let result = 'none yet';
  resolver.resolve(host, (error, address) => {
    result = error === undefined ? address : error.message;
  });
  return result;
}

it('asks once, moves on after a failure and asks again after the last address', () => {
  let asked = 0;
  const resolver = new Resolver((_name, onAddresses) => {
    asked += 1;
    onAddresses(null, [`10.0.${asked}.1`, `10.0.${asked}.2`]);
  });
  expect(addressOf(resolver, 'a.test')).toBe('10.0.1.1');
  expect(addressOf(resolver, 'a.test')).toBe('10.0.1.1');
  resolver.failed('a.test');
  expect(addressOf(resolver, 'a.test')).toBe('10.0.1.2');
  resolver.failed('a.test');
  expect(addressOf(resolver, 'a.test')).toBe('10.0.2.1');
  expect(asked).toBe(2);
});

it('keeps the old addresses when a later look-up fails', () => {
  let broken = false;
  const resolver = new Resolver((_name, onAddresses) => {
    if (broken) onAddresses(new Error('name server down'), []);
    else onAddresses(null, ['10.0.0.1']);
  });
  expect(addressOf(resolver, 'a.test')).toBe('10.0.0.1');
  broken = true;
  resolver.failed('a.test');
  expect(addressOf(resolver, 'a.test')).toBe('10.0.0.1');
  expect(addressOf(resolver, 'b.test')).toBe('name server down');
});

it('asks nobody about a literal address', () => {
  const resolver = new Resolver(() => expect.unreachable());
  expect(addressOf(resolver, '127.0.0.1')).toBe('127.0.0.1');
  expect(addressOf(resolver, '::1')).toBe('::1');
});
