import { defineConfig } from 'vitest/config';

const ALL = ['test/**/*.test.ts'];
/** Whole clusters of processes for tens of seconds: `npm run test:slow`, not `npm test`. */
const SLOW = [
  'test/chaos/workload/real-outcomes.test.ts',
  'test/e2e/backup.test.ts',
  'test/e2e/bad-node.test.ts',
  'test/e2e/compaction.test.ts',
  'test/e2e/damaged-log.test.ts',
  'test/e2e/delay.test.ts',
  'test/e2e/exactly-once.test.ts',
  'test/e2e/full-disk.test.ts',
  'test/e2e/grow.test.ts',
  'test/e2e/kill.test.ts',
  'test/e2e/leash.test.ts',
  'test/e2e/pods.test.ts',
  'test/e2e/rolling-upgrade.test.ts',
  'test/e2e/snapshot.test.ts',
];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'quick', include: ALL, exclude: SLOW } },
      { extends: true, test: { name: 'slow', include: SLOW } },
    ],
  },
});
