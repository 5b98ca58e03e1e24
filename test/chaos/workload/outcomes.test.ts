/** Which error means which outcome: docs/errors.md and the README against what we make of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Metadata, status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { classify, classifyElement } from '../../../chaos/workload/node-stub.ts';
import { packageFolder } from '../../processes/package-folder.ts';

const text = (name: string) => readFileSync(join(packageFolder(), name), 'utf8');
const ROW = /^\| `([A-Z_]+)` \| ([A-Z_]+) \| (yes|no) \| (yes|no) \|/gm;
const documented = [...text('docs/errors.md').matchAll(ROW)].map(
  ([, reason = '', name = '', retryable, unknown]) => ({
    reason,
    code: status[name as keyof typeof status],
    retryable: retryable === 'yes',
    outcomeUnknown: unknown === 'yes',
  }),
);
const statuses = Object.values(status).filter((code) => typeof code === 'number');

describe.each(documented)('$reason', ({ reason, code, retryable, outcomeUnknown }) => {
  const outcome = outcomeUnknown ? 'unknown' : 'fail';

  it(`of a call is ${outcome}`, () => {
    const metadata = new Metadata();
    metadata.set('holdfast-reason', reason);
    metadata.set('holdfast-retryable', String(retryable));
    metadata.set('holdfast-outcome-unknown', String(outcomeUnknown));
    expect(classify({ code, details: '', metadata })).toMatchObject({ outcome, retryable });
  });

  it(`in a stream is ${outcome}`, () => {
    const element = { code, reason, message: '', retryable, retry_after_ms: 0 };
    expect(classifyElement({ ...element, outcome_unknown: outcomeUnknown })).toMatchObject({
      ...{ outcome, retryable },
    });
  });
});

describe('what no node said', () => {
  it.each(statuses)('status %i is unknown', (code) => {
    const metadata = new Metadata();
    expect(classify({ code, details: '', metadata }).outcome).toBe('unknown');
  });
});

it('the README names the reasons that leave it open', () => {
  const open = documented.filter(({ outcomeUnknown }) => outcomeUnknown);
  expect(open.length).toBeGreaterThan(0);
  const row = text('chaos/README.md').match(/^\| `unknown` \|.*$/m)?.[0] ?? '';
  const named = [...row.matchAll(/`([A-Z_]+)`/g)].map(([, reason]) => reason);
  expect(named.sort()).toEqual(open.map(({ reason }) => reason).sort());
});

it('every reason of the table is read', () => {
  expect(documented.length).toBeGreaterThan(40);
  for (const { code } of documented) expect(code).toBeTypeOf('number');
});
