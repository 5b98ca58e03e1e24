import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { BROKEN_BUILDS, type BrokenBuild } from '../../../chaos/prove/builds.ts';
import { edited, plant } from '../../../chaos/prove/plant.ts';
import { packageFolder } from '../../processes/package-folder.ts';

const EDIT = { file: 'raft/log', from: 'if (a) b();', to: 'c();' };

describe('a place', () => {
  it('is found whatever white space it has', () => {
    expect(edited('x;\nif (a)\n    b();\ny;', EDIT)).toBe('x;\nc();\ny;');
  });

  it.each([
    ['is not there', 'x;', '0 places'],
    ['is there twice', 'if (a) b(); if (a) b();', '2 places'],
  ])('%s', (_, text, complaint) => {
    expect(() => edited(text, EDIT)).toThrow(`raft/log: ${complaint} like: if (a) b();`);
  });

  it('is taken as it is: no character of it means another', () => {
    const edit = { ...EDIT, from: 'f(a?.b) || $c', to: '$&' };
    expect(edited('f(a?.b) || $c;', edit)).toBe('$&;');
  });
});

describe('every broken build', () => {
  const edits = BROKEN_BUILDS.flatMap(({ name, edits: all }) => {
    return all.map((edit) => ({ name, edit }));
  });

  it.each(edits)('$name: fits $edit.file', ({ edit }) => {
    const source = readFileSync(join(packageFolder(), `${edit.file}.ts`), 'utf8');
    expect(edited(source, edit)).not.toBe(source);
  });
});

describe('a copy', () => {
  function packageWith(log: string): string {
    const root = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
    onTestFinished(() => rmSync(root, { recursive: true, force: true }));
    for (const part of ['raft', 'storage', 'src', 'chaos']) {
      mkdirSync(join(root, 'dist', part), { recursive: true });
    }
    writeFileSync(join(root, 'dist/raft/log.js'), log);
    writeFileSync(join(root, 'dist/raft/log.js.map'), '');
    writeFileSync(join(root, 'dist/src/bin.cjs'), 'serve();');
    return root;
  }
  const build: BrokenBuild = {
    ...{ name: 'bad', does: '', edits: [EDIT] },
    ...{ scenario: 'kill-all', seconds: 1, properties: [] },
  };
  const shelf = (root: string) => readdirSync(join(root, '.cache/chaos-prove'));

  it('holds what a node loads, and the bug; the original stays', () => {
    const root = packageWith('if (a) b();');
    const { binary, remove } = plant(build, root);
    expect(readFileSync(binary, 'utf8')).toBe('serve();');
    expect(readdirSync(join(binary, '../../raft'))).toEqual(['log.js']);
    expect(readFileSync(join(binary, '../../raft/log.js'), 'utf8')).toBe('c();');
    expect(readFileSync(join(root, 'dist/raft/log.js'), 'utf8')).toBe('if (a) b();');
    expect(existsSync(join(binary, '../../chaos'))).toBe(false);
    remove();
    expect(shelf(root)).toEqual([]);
  });

  it('is not left behind when the bug does not fit', () => {
    const root = packageWith('other();');
    expect(() => plant(build, root)).toThrow('0 places');
    expect(shelf(root)).toEqual([]);
  });
});
