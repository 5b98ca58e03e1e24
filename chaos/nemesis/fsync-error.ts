import { type DiskError, failFor } from './failing.ts';
import type { Nemesis } from './nemesis.ts';

const SYNC_FAILS: DiskError = {
  what: 'sync',
  count: 'failedSyncs',
  failIn: ({ page }, n) => page.failSyncIn(n),
};

export const fsyncError: Nemesis = {
  name: 'fsync-error',
  does: 'a sync of a leader fails with EIO: it has to end; then, half of the time, a power cut',
  needs: ['processes', 'shim'],
  movesLeader: false,
  strike: (stage, holdMs) => failFor(stage, SYNC_FAILS, holdMs),
};
