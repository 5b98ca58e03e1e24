/** Who knocks again and again does not fill the disk, and writes no lines of its own. */
import { expect, it } from 'vitest';
import { LINES_PER_WINDOW, SecurityLog } from '../../../src/security/security-log.ts';
import { CallError } from '../../../src/status.ts';

const event = { principal: 'app', source: '10.0.0.1:5', call: '/x/Y' };
const error = new CallError('PERMISSION_DENIED', 'a text\nof a stranger');

it('lines of a window are bounded, and the rest is counted', () => {
  const lines: [object, string][] = [];
  let nowMs = 5;
  const note = (fields: object, text: string) => void lines.push([fields, text]);
  const log = new SecurityLog({ info: note, warn: note }, () => nowMs);
  for (let at = 0; at < LINES_PER_WINDOW + 7; at += 1) log.refused(event, error);
  expect(lines).toHaveLength(LINES_PER_WINDOW);
  expect(lines[0]).toEqual([
    { ...event, reason: 'PERMISSION_DENIED' },
    'security: a call was refused',
  ]);
  nowMs += 10_000;
  log.refused(event, error);
  expect(lines.slice(LINES_PER_WINDOW)).toEqual([
    [{ calls: 7 }, 'security: more calls were refused'],
    lines[0],
  ]);
  expect(JSON.stringify(lines)).not.toContain('stranger');
  for (let at = 0; at < 2 * LINES_PER_WINDOW; at += 1) log.changed(event);
  expect(lines).toHaveLength(3 * LINES_PER_WINDOW + 2);
});
