import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLevelState } from '../../storage/level-state.ts';
import { type Compiled, compile } from '../harness/compiled.ts';
import { expectedRows, indexRows, textRows } from '../harness/state-model.ts';
import { temporaryDirectory } from '../harness/temporary-directory.ts';

const KILLS = 12;
const SHARDS = [1, 2, 3];
/** Far past what is written: here the log has everything. */
const logEnds = new Map(SHARDS.map((shard) => [shard, { start: 0, last: 10_000_000 }]));

/** Applies entries without end, several batches of them at a time; a line now and then. */
const CHILD = (compiled: string): string => `
  import { openLevelState } from '${compiled}/storage/level-state.js';
  import { effectsOf } from '${compiled}/test/harness/state-model.js';
  const logEnds = new Map(${JSON.stringify([...logEnds])});
  const onFatal = (error) => { throw error; };
  const [directory] = process.argv.slice(1);
  const state = await openLevelState({ directory, identity: 'x', logEnds, onFatal,
    batchDelayMs: 0, maxBatchBytes: 4096, writeBufferBytes: 65536 });
  await state.completeBuild();
  const nextOf = (shard) => (state.appliedOf(shard)?.index ?? 0) + 1;
  const next = new Map(${JSON.stringify(SHARDS)}.map((shard) => [shard, nextOf(shard)]));
  console.log(state.verdict.kind);
  let turns = 0;
  const turn = () => {
    for (const [shard, index] of next) {
      for (let at = 0; at < 5; at++) state.write(effectsOf(shard, index + at));
      next.set(shard, index + 5);
    }
    state.write({ ops: [], applied: [] }, turn);
    if (++turns % 5 === 0) console.log('turn ' + turns);
  };
  turn();
`;

describe('level state of a process that is killed', () => {
  let compiled: Compiled;
  beforeAll(() => {
    compiled = compile('storage/level-state.ts', 'test/harness/state-model.ts');
  });
  afterAll(() => compiled.remove());

  function start(directory: string): ChildProcess {
    const code = CHILD(pathToFileURL(path.resolve(compiled.directory)).href);
    const args = ['--input-type=module', '-e', code, directory];
    return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  }

  /** Kills the child when it has written `lines` lines; gives the first of them. */
  async function runAndKill(directory: string, lines: number): Promise<string> {
    const child = start(directory);
    const exited = once(child, 'exit');
    const seen: string[] = [];
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      seen.push(line);
      if (seen.length === lines) child.kill('SIGKILL');
    }
    expect((await exited)[1]).toBe('SIGKILL');
    return seen[0] as string;
  }

  it('equals a replay after every kill', { timeout: 120_000 }, async () => {
    const directory = temporaryDirectory();
    let before = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const verdict = await runAndKill(directory, 2 + ((kill * 7) % 10));
      expect(verdict).toBe(kill === 0 ? 'empty' : 'ok');
      const onFatal = (error: Error): void => {
        throw error;
      };
      const state = await openLevelState({ directory, identity: 'x', logEnds, onFatal });
      expect(state.verdict).toEqual({ kind: 'ok' });
      let applied = 0;
      for (const shard of SHARDS) {
        const loaded = await state.loadShard(shard);
        const index = loaded.applied?.index ?? 0;
        applied += index;
        expect(textRows(loaded.rows)).toEqual(expectedRows(index));
        const rows = await indexRows(state, shard, shard * 10, 0);
        expect(rows).toHaveLength(index);
        expect(rows.every((row, at) => row.index === at + 1)).toBe(true);
      }
      expect(applied).toBeGreaterThan(before);
      before = applied;
      await state.close();
    }
  });
});
