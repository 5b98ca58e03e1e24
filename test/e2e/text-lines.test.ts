import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { temporaryDirectory } from '../harness/temporary-directory.ts';
import { filesBelow, linesBelow, linesOf } from './text-lines.ts';

function fileOf(bytes: Uint8Array): string {
  const path = join(temporaryDirectory(), 'file');
  writeFileSync(path, bytes);
  return path;
}

it.each([
  ['a last line without a newline', 'one\n\ntwo', ['one', '', 'two']],
  ['other line ends, kept as they are', 'a\r\nb\n', ['a\r', 'b']],
  ['one byte', 'x', ['x']],
])('%s', (_, content, lines) => {
  expect([...linesOf(fileOf(Buffer.from(content)))].map(String)).toEqual(lines);
});

it('a line longer than what is read at once', () => {
  const long = 'x'.repeat(2_500_000);
  const lines = [...linesOf(fileOf(Buffer.from(`${long}\nend`)))].map(String);
  expect(lines).toEqual([long, 'end']);
});

it('a file with NUL bytes is skipped, but not UTF-16, whose bytes come back whole', () => {
  expect([...linesOf(fileOf(Buffer.from([0x7f, 0x45, 0, 1, 10])))]).toEqual([]);
  const little = Buffer.from('\ufeffgr\u00fc\u00df\nGott\n', 'utf16le');
  const big = Buffer.from(little).swap16();
  for (const bytes of [little, big]) {
    const lines = [...linesOf(fileOf(bytes))];
    expect(lines.length).toBeGreaterThan(1);
    const rejoined = Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')]));
    expect(rejoined.subarray(0, bytes.length)).toEqual(bytes);
  }
});

it('files in one order, and no more lines than asked for', () => {
  const root = temporaryDirectory();
  mkdirSync(join(root, 'b'));
  writeFileSync(join(root, 'b', 'two'), '2a\n2b\n');
  writeFileSync(join(root, 'a'), '1\n');
  writeFileSync(join(root, 'empty'), '');
  expect([...filesBelow(root)]).toEqual([join(root, 'a'), join(root, 'b', 'two')]);
  expect([...linesBelow(root, 3)].map(String)).toEqual(['1', '2a']);
});
