import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { RunningCluster } from '../../../chaos/cluster/running-cluster.ts';
import { UsageError } from '../../processes/options.ts';

it('a server that is not there is said by its name', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  // Nobody listens on the port of tcpmux.
  const reaching = RunningCluster.reach(folder, ['127.0.0.1:1']);
  await expect(reaching).rejects.toThrow(UsageError);
  await expect(reaching).rejects.toThrow(/^--servers: 127\.0\.0\.1:1: UNAVAILABLE/);
});
