import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { SHORT_STARTS_MAX, StateStarts } from '../../storage/state-starts.ts';

function newFile(): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'holdfast-starts-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  return path.join(directory, 'state-starts');
}

const begun = (file: string) => {
  const starts = new StateStarts(file);
  const isLoop = starts.begin(1000);
  return { starts, isLoop };
};

it('after some starts that soon ended the state is doubted, and then not at once again', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const file = newFile();
  const loops = Array.from({ length: 2 * SHORT_STARTS_MAX + 1 }, () => begun(file).isLoop);
  const doubted = loops.flatMap((isLoop, at) => (isLoop ? [at] : []));
  expect(doubted).toEqual([SHORT_STARTS_MAX, 2 * SHORT_STARTS_MAX]);
});

it.each(['lasts', 'ends in order'])('one that %s begins the count anew', (how) => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const file = newFile();
  for (let at = 1; at < SHORT_STARTS_MAX; at++) begun(file);
  const { starts } = begun(file);
  if (how === 'lasts') vi.advanceTimersByTime(1000);
  else starts.end();
  expect(existsSync(file)).toBe(false);
  expect(begun(file).isLoop).toBe(false);
});

it('a file cut short counts as none', () => {
  const file = newFile();
  writeFileSync(file, '');
  const { starts, isLoop } = begun(file);
  starts.end();
  expect(isLoop).toBe(false);
});
