import { type DiskError, failFor } from './failing.ts';
import type { Nemesis } from './nemesis.ts';

/** Both are written all the time under load. */
const CLASSES = ['log', 'state'] as const;

function failsIn(files: (typeof CLASSES)[number]): DiskError {
  return {
    what: `write of the ${files}`,
    count: 'failedWrites',
    failIn: ({ page }, n) => page.failWriteIn(n, [files]),
  };
}

export const writeError: Nemesis = {
  name: 'write-error',
  does: 'a write of a leader, to its log or state, fails with EIO: it has to end',
  needs: ['processes', 'shim'],
  movesLeader: false,
  strike: (stage, holdMs) => failFor(stage, failsIn(stage.random.pick(CLASSES)), holdMs),
};
