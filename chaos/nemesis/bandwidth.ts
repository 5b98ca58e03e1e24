import type { Nemesis } from './nemesis.ts';
import { slowFor } from './slowing.ts';

const KILOBYTES_PER_SECOND = 100;

export const bandwidth: Nemesis = {
  name: 'bandwidth',
  does: `every connection of a leader carries ${KILOBYTES_PER_SECOND} kB/s`,
  needs: ['proxies'],
  movesLeader: false,
  strike: (stage, holdMs) =>
    slowFor(
      stage,
      {
        type: 'bandwidth',
        attributes: { rate: KILOBYTES_PER_SECOND },
        msFor: (bytes) => bytes / KILOBYTES_PER_SECOND,
      },
      holdMs,
    ),
};
