/** docs/upgrades.md says what the code does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FEATURE_LEVELS } from '../src/broker/feature-level.ts';
import { packageRoot } from '../src/package-root.ts';
import { NEWEST_PROTOCOL, OLDEST_PROTOCOL } from '../src/peers/handshake.ts';

const page = readFileSync(join(packageRoot(), 'docs/upgrades.md'), 'utf8');

it('every feature level has its row', () => {
  const rows = [...page.matchAll(/^\| (\d+) \| (.+) \|$/gm)].map(([, level, brought]) => [
    Number(level),
    brought,
  ]);
  expect(rows).toEqual([...FEATURE_LEVELS]);
});

it('the versions of the protocol are those that are spoken', () => {
  expect(page).toContain(`from ${OLDEST_PROTOCOL} to ${NEWEST_PROTOCOL}`);
});
