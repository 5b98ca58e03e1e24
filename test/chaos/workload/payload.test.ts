import { expect, it } from 'vitest';
import { messageOf, observedValue } from '../../../chaos/workload/payload.ts';

const values = Array.from({ length: 2000 }, (_, i) => `producer-0.${i}`);

it('a message proves itself', () => {
  for (const value of values) expect(observedValue(messageOf(value))).toBe(value);
});

it('other bytes under the same key are another value', () => {
  const { key, body } = messageOf('producer-0.3');
  const longer = Buffer.concat([body, Buffer.from([0])]);
  expect(observedValue({ key, body: longer })).toMatch(/^damaged producer-0\.3 /);
  expect(observedValue({ key: 'producer-0.4', body })).toMatch(/^damaged /);
});

it('bodies are empty, small and large', () => {
  const sizes = values.map((value) => messageOf(value).body.length);
  expect(sizes).toContain(0);
  expect(sizes).toContain(64 * 1024);
  expect(new Set(sizes).size).toBeGreaterThan(100);
});
