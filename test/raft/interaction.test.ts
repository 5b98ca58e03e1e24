/** Runs testdata/*.txt. `REWRITE=1` writes what came out instead: review it as a diff. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { type Block, parseScript, printScript, ScriptRunner } from '../harness/raft-script.ts';

const directory = fileURLToPath(new URL('./testdata/', import.meta.url));
const scripts = readdirSync(directory).filter((name) => name.endsWith('.txt'));

describe('interaction scripts', () => {
  test('there are some', () => {
    expect(scripts.length).toBeGreaterThan(4);
  });

  test.each(scripts)('%s', (name) => {
    const text = readFileSync(`${directory}${name}`, 'utf8');
    const runner = new ScriptRunner();
    const blocks = parseScript(text).map(
      (block): Block => ({ ...block, expected: runner.run(block.command) }),
    );
    const actual = printScript(blocks);
    if (process.env.REWRITE === '1') writeFileSync(`${directory}${name}`, actual);
    else expect(actual).toBe(text);
  });
});
