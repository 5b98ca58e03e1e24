import type { Nemesis } from './nemesis.ts';
import { slowFor } from './slowing.ts';

const SLICE_BYTES = 256;
const DELAY_MS = 1;

/** Whoever takes a read for a message finds out. */
export const slicer: Nemesis = {
  name: 'slicer',
  does: `what a leader sends and gets comes in slices of about ${SLICE_BYTES} bytes`,
  needs: ['proxies'],
  movesLeader: false,
  strike: (stage, holdMs) =>
    slowFor(
      stage,
      {
        type: 'slicer',
        attributes: {
          ...{ average_size: SLICE_BYTES, size_variation: SLICE_BYTES / 2 },
          delay: 1000 * DELAY_MS,
        },
        msFor: (bytes) => (DELAY_MS * bytes) / SLICE_BYTES,
      },
      holdMs,
    ),
};
