import { Metadata, status } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { classify } from '../../../chaos/workload/node-stub.ts';

function outcomeOf(code: number, trailers: Record<string, string>) {
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(trailers)) metadata.set(`holdfast-${name}`, value);
  return classify({ code, details: '', metadata });
}

it.each([
  ['a node that says so', { reason: 'NOT_LEADER', 'outcome-unknown': 'false' }, 'fail'],
  [
    'a node that does not know',
    { reason: 'OUTCOME_UNKNOWN', 'outcome-unknown': 'true' },
    'unknown',
  ],
  ['a node that says neither', { reason: 'NOT_LEADER' }, 'unknown'],
  ['no node', {}, 'unknown'],
  ['a proxy that claims', { 'outcome-unknown': 'false' }, 'unknown'],
] as const)('the word of %s', (_, trailers, outcome) => {
  for (const code of [status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.INTERNAL]) {
    expect(outcomeOf(code, trailers).outcome).toBe(outcome);
  }
});

it('what may be repeated, and when', () => {
  expect(outcomeOf(status.UNAVAILABLE, {}).retryable).toBe(true);
  expect(outcomeOf(status.NOT_FOUND, { reason: 'TOPIC_NOT_FOUND' }).retryable).toBe(false);
  const busy = { reason: 'NODE_BUSY', retryable: 'true', 'retry-after-ms': '40' };
  expect(outcomeOf(status.RESOURCE_EXHAUSTED, busy)).toMatchObject({
    retryable: true,
    retryAfterMs: 40,
  });
});
