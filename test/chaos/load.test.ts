import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { HistoryWriter, nowMs } from '../../chaos/history.ts';
import { Load } from '../../chaos/workload/load.ts';
import type { Refusal } from '../../chaos/workload/node-stub.ts';
import { commit, produce, read, refusedProduce } from './histories.ts';

function newLoad(): Load {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
  const history = new HistoryWriter(join(folder, 'history.jsonl'));
  onTestFinished(() => {
    history.close();
    rmSync(folder, { recursive: true });
  });
  return new Load([], 1, history);
}

it('counts acknowledged writes a second from the first one on, and nothing else', () => {
  const load = newLoad();
  const secondsAgo = nowMs() - 10_000;
  load.record(read(0, ['a.0']));
  load.record(refusedProduce(0, 1));
  expect(load.acksPerSecond).toBe(0);
  load.record(produce(0, 1, 0, { completedMs: secondsAgo }));
  load.record(produce(1, 1, 1));
  load.record(commit(20, 1));
  expect(load.acksPerSecond).toBeGreaterThan(0.2);
  expect(load.acksPerSecond).toBeLessThanOrEqual(0.3);
});

it('repeats what is refused for damage only while bytes are known to be bad', () => {
  const load = newLoad();
  const refused = (reason: string, retryable = false) => {
    return load.isWorthRepeating({ reason, retryable } as Refusal);
  };
  expect([refused('DATA_DAMAGED'), refused('NODE_BUSY', true)]).toEqual([false, true]);
  load.expectDamage();
  expect([refused('DATA_DAMAGED'), refused('INTERNAL')]).toEqual([true, false]);
});
