import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it, onTestFinished, vi } from 'vitest';
import { lacksHere } from '../../chaos/here.ts';
import { listText } from '../../chaos/list.ts';

afterEach(() => void vi.unstubAllEnvs());

function pathWith(...names: readonly string[]): void {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-path-'));
  for (const name of names) writeFileSync(join(folder, name), '');
  onTestFinished(() => rmSync(folder, { recursive: true }));
  vi.stubEnv('PATH', folder);
}

const line = (text: string, name: string) =>
  text.split('\n').find((one) => one.startsWith(`  ${name} `));

it('a machine that has everything is told so', () => {
  const text = listText([]);
  expect(text).toContain('every scenario can run');
  expect(text).not.toMatch(/\[(?:cannot|skipped)/);
});

it('without proxies and compiler: what they are needed for is marked, and nothing else', () => {
  const network = {
    thing: 'toxiproxy-server',
    needs: ['proxies', 'client-links'],
    faults: 'faults of the network',
  } as const;
  const text = listText([network, { thing: 'C compiler', needs: ['shim'], faults: 'bad disks' }]);
  expect(line(text, 'halves')).toMatch(/\[cannot run here: no toxiproxy-server\]$/);
  expect(line(text, 'cut-clients')).toMatch(/\[skipped here: no toxiproxy-server\]$/);
  expect(line(text, 'power-cut')).toMatch(/\[cannot run here: no C compiler\]$/);
  expect(line(text, 'part-kill')).toMatch(/no toxiproxy-server, no C compiler\]$/);
  expect(line(text, 'kill-leader')).not.toContain('[');
  expect(text).toContain('There is no toxiproxy-server here: faults of the network are skipped.');
  expect(text).not.toContain('every scenario');
});

it('looks for them on the PATH', () => {
  const isLinux = process.platform === 'linux';
  pathWith('clang');
  expect(lacksHere().some(({ needs }) => needs.includes('shim'))).toBe(!isLinux);
  pathWith('toxiproxy-server');
  const thing = isLinux ? 'C compiler (cc, gcc or clang)' : 'Linux';
  expect(lacksHere().map((lack) => lack.thing)).toEqual([thing]);
});
