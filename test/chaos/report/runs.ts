import type { Start } from '../../../chaos/history.ts';

export const start: Start = {
  type: 'start',
  scenario: 'kill-leader',
  seed: 7,
  nodes: 3,
  queues: 1,
  level: 'majority_fsync',
  nemeses: ['kill-leader'],
  atMs: 0,
};
