import { expect, it } from 'vitest';
import { methodDefinition } from '../../../chaos/workload/methods.ts';
import {
  keyedMessageOf,
  MESSAGE_BYTES_MAX,
  messageOf,
  observedValue,
} from '../../../chaos/workload/payload.ts';
import { requestOf } from '../../../chaos/workload/produce.ts';

/** Large ones are so rare that only these keys show them. */
const values = Array.from({ length: 30_000 }, (_, i) => `producer-0.${i}`);

it('a message proves itself', () => {
  for (const value of values.slice(0, 2000)) expect(observedValue(messageOf(value))).toBe(value);
});

it('beside a key that others have, too, its tag names it', () => {
  for (const value of values.slice(0, 2000)) {
    expect(observedValue(keyedMessageOf(value, 'key'))).toBe(value);
  }
  const { body } = keyedMessageOf('producer-0.3', 'key');
  expect(observedValue({ key: 'key', tag: 'producer-0.4', body })).toMatch(/^damaged /);
});

it('other bytes under the same key are another value', () => {
  const { key, body } = messageOf('producer-0.3');
  const longer = Buffer.concat([body, Buffer.from([0])]);
  expect(observedValue({ key, body: longer })).toMatch(/^damaged producer-0\.3 /);
  expect(observedValue({ key: 'producer-0.4', body })).toMatch(/^damaged /);
});

it('bodies are empty, of every order of magnitude, and exactly as large as may be', () => {
  const messages = values.map(messageOf);
  const sizes = messages.map(({ body }) => body.length);
  expect(sizes.filter((size) => size === 0).length).toBeGreaterThan(values.length / 20);
  for (let power = 0; power < 6; power++) {
    const inside = sizes.filter((size) => size >= 10 ** power && size < 10 ** (power + 1));
    expect(inside.length).toBeGreaterThan(0);
  }
  const mean = sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  expect(mean).toBeLessThan(2000);
  const largest = messages.reduce((one, other) =>
    other.body.length > one.body.length ? other : one,
  );
  expect(encodedBytes(largest.key)).toBe(MESSAGE_BYTES_MAX);
});

/** As a part of a request, without the tag of its field (two bytes) and its length (four). */
function encodedBytes(value: string): number {
  const { requestSerialize } = methodDefinition('Log.Produce');
  const bytes = (list: readonly string[]) =>
    requestSerialize(requestOf({ queue: 0, values: list })).length;
  return bytes([value]) - bytes([]) - 2 - 4;
}
