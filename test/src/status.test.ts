import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/package-root.ts';
import { CallError, GrpcCode, isReason, REASONS, toCallError } from '../../src/status.ts';

const PAGE = join(packageRoot(), 'docs', 'errors.md');
const yesNo = (value: boolean): string => (value ? 'yes' : 'no');

/** The table of the page, from the code. `REWRITE=1` writes it. */
function tableRows(): string[] {
  return Object.entries(REASONS).map(([reason, facts]) => {
    const { advice, code, outcomeUnknown, retryable } = facts;
    const cells = [`\`${reason}\``, code, yesNo(retryable), yesNo(outcomeUnknown), advice];
    return `| ${cells.join(' | ')} |`;
  });
}

describe('docs/errors.md', () => {
  test('lists exactly the reasons of the code, with the same facts', () => {
    const lines = readFileSync(PAGE, 'utf8').trimEnd().split('\n');
    const isRow = (line: string): boolean => line.startsWith('| `');
    if (process.env.REWRITE === '1') {
      const kept = lines.filter((line) => !isRow(line));
      writeFileSync(PAGE, `${[...kept, ...tableRows()].join('\n')}\n`);
    } else expect(lines.filter(isRow)).toEqual(tableRows());
  });
});

describe('reasons', () => {
  test('each has a status of gRPC; only what may have happened is unknown', () => {
    for (const [reason, facts] of Object.entries(REASONS)) {
      expect(isReason(reason)).toBe(true);
      expect(GrpcCode[facts.code]).toBeGreaterThan(0);
      if (facts.code === 'INVALID_ARGUMENT' || facts.code === 'NOT_FOUND') {
        expect(facts).toMatchObject({ retryable: false, outcomeUnknown: false });
      }
      // "Later" is what RESOURCE_EXHAUSTED is kept for, but of what only somebody can end.
      const isLasting = reason === 'TOO_MANY_TOPICS' || reason === 'QUOTA_FULL';
      if (facts.code === 'RESOURCE_EXHAUSTED' && !isLasting) {
        expect(facts.retryable).toBe(true);
      }
    }
  });

  test('what was thrown by mistake becomes INTERNAL and keeps its cause', () => {
    const bug = new TypeError('oops');
    expect(toCallError(bug)).toMatchObject({ reason: 'INTERNAL', cause: bug });
    const known = new CallError('EMPTY_BATCH', 'nothing in it');
    expect(toCallError(known)).toBe(known);
  });
});
